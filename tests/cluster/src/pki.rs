//! The cluster's own certificates: one authority, the API server's certificate and the administrator's.

use crate::dir::Dir;
use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// Writes all certificates and keys into the folder.
pub fn write(dir: &Dir) -> Result<()> {
    std::fs::create_dir_all(dir.pki(""))?;
    let mut params = named("weir-cluster")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    std::fs::write(dir.pki("ca.crt"), authority.pem())?;

    let mut server = CertificateParams::new(
        ["localhost", "127.0.0.1", "198.18.0.1", "198.19.0.1", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
            .map(String::from),
    )?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(dir, "apiserver", server, &authority)?;

    let mut admin = named("admin")?;
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(dir, "admin", admin, &authority)?;

    // What signs the tokens of service accounts.
    let tokens = KeyPair::generate()?;
    std::fs::write(dir.pki("tokens.key"), tokens.serialize_pem())?;
    std::fs::write(dir.pki("tokens.pub"), tokens.public_key_pem())?;
    Ok(())
}

/// A certificate for a server of this name, its key, and its authority, which is a new one: all as PEM.
pub fn server(name: &str) -> Result<[String; 3]> {
    let mut params = named("another authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::new([name.into()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok([params.signed_by(&key, &authority)?.pem(), key.serialize_pem(), authority.pem()])
}

fn named(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn sign(dir: &Dir, name: &str, params: CertificateParams, authority: &CertifiedIssuer<'_, KeyPair>) -> Result<()> {
    let key = KeyPair::generate()?;
    std::fs::write(dir.pki(&format!("{name}.crt")), params.signed_by(&key, authority)?.pem())?;
    std::fs::write(dir.pki(&format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}
