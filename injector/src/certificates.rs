//! The control plane's certificates: an authority that all its replicas share, and for each replica a certificate of its own, renewed
//! long before it ends. Or those that somebody else writes into files, as cert-manager does through a mounted Secret.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A proxy trusts the authority that it started with, so that one lasts.
const AUTHORITY_LASTS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const LASTS: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often a replica takes a new certificate.
pub const RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Clocks differ.
const BEFORE: Duration = DAY;

/// A certificate with its chain, its key, and the authority that vouches for it, all as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pems {
    /// The certificate, then those between it and the authority.
    pub chain: String,
    /// Its key.
    pub key: String,
    /// The authority's certificate.
    pub authority: String,
}

/// What signs the replicas' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The certificate, as PEM.
    pub certificate: String,
    /// The key, as PEM.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn generate() -> Result<Authority> {
        let key = KeyPair::generate()?;
        let pem = key.serialize_pem();
        Ok(Authority { certificate: CertifiedIssuer::self_signed(authority_params()?, key)?.pem(), key: pem })
    }

    /// A certificate for a server with these names.
    pub fn issue(&self, names: &[String]) -> Result<Pems> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "weir");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = lasting(LASTS);
        let issuer = Issuer::new(authority_params()?, KeyPair::from_pem(&self.key).context("the authority's key")?);
        Ok(Pems { chain: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem(), authority: self.certificate.clone() })
    }
}

fn authority_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, "weir authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = lasting(AUTHORITY_LASTS);
    Ok(params)
}

/// From now on. The type is rcgen's.
fn lasting<Time: From<SystemTime>>(time: Duration) -> (Time, Time) {
    let now = SystemTime::now();
    ((now - BEFORE).into(), (now + time).into())
}

/// Reads what cert-manager writes into a folder: `tls.crt`, `tls.key`, `ca.crt`.
pub fn read(folder: &Path) -> Result<Pems> {
    let text = |name: &str| {
        let path: PathBuf = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    Ok(Pems { chain: text("tls.crt")?, key: text("tls.key")?, authority: text("ca.crt")? })
}

/// The certificate that a server shows; it may change while connections last.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// Shows this one first.
    pub fn new(pems: &Pems) -> Result<Arc<Shown>> {
        Ok(Arc::new(Shown(RwLock::new(certified(pems)?))))
    }

    /// Shows another one from now on. One that cannot be read, or whose key is another's, is an error and changes nothing.
    pub fn set(&self, pems: &Pems) -> Result<()> {
        let certified = certified(pems)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// What a TLS server needs: for HTTP/2, gRPC and HTTP/1.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn certified(pems: &Pems) -> Result<Arc<CertifiedKey>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pems.chain.as_bytes()).collect::<Result<_, _>>().context("tls.crt")?;
    let key = PrivateKeyDer::from_pem_slice(pems.key.as_bytes()).context("tls.key")?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &ring::default_provider()).context("tls.crt and tls.key")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    fn trusts(authority: &str, pems: &Pems, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build().unwrap();
        let end = CertificateDer::from_pem_slice(pems.chain.as_bytes()).unwrap();
        verifier.verify_server_cert(&end, &[], &ServerName::try_from(name.to_string()).unwrap(), &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn every_replica_is_trusted_by_who_trusts_the_authority_and_under_its_names_alone() {
        let authority = Authority::generate().unwrap();
        let name = "weir.weir-system.svc";
        for _replica in 0..2 {
            let pems = authority.issue(&[name.into()]).unwrap();
            assert!(trusts(&authority.certificate, &pems, name));
            assert!(!trusts(&authority.certificate, &pems, "weir.other.svc"));
            assert!(!trusts(&Authority::generate().unwrap().certificate, &pems, name));
        }
    }

    #[test]
    fn a_bad_certificate_leaves_the_one_that_is_shown() {
        let authority = Authority::generate().unwrap();
        let (one, other) = (authority.issue(&["a".into()]).unwrap(), authority.issue(&["a".into()]).unwrap());
        let shown = Shown::new(&one).unwrap();
        let now = || shown.0.read().unwrap().cert.clone();
        let first = now();
        for bad in [Pems { key: other.key.clone(), ..one.clone() }, Pems { chain: "x".into(), ..one.clone() }] {
            assert!(shown.set(&bad).is_err());
            assert_eq!(now(), first);
        }
        shown.set(&other).unwrap();
        assert_ne!(now(), first);
    }
}
