//! The command line: one subcommand per role, and the tools that ask the roles.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use hyper::Method;
use hyper::header::HeaderName;
use serde::Serialize;

use crate::app::{App, Role};
use crate::ask;
use crate::bookinfo::Hosts;
use crate::identity::Identity;
use crate::load::args::LoadArgs;
use crate::server::{self, Server};
use crate::tcp_echo;

/// The sample application of Weir's demos and tests.
///
/// Who an instance is comes from the environment: SERVICE, POD_NAME, POD_NAMESPACE, VERSION, ZONE.
#[derive(Debug, Parser)]
#[command(name = "weir-sample", bin_name = "weir-sample", version, no_binary_name = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A role to play, or a tool to use.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask order-history on each request, and answer with both zones
    Product {
        #[command(flatten)]
        listen: Listen,
        /// What to ask
        #[arg(long, value_name = "URL", default_value = "http://order-history/")]
        order_history: String,
        /// A header of the request that is not handed on, such as baggage
        #[arg(long, value_name = "HEADER")]
        drop: Option<HeaderName>,
    },
    /// Answer with this zone
    OrderHistory {
        #[command(flatten)]
        listen: Listen,
        /// Work so long on a request, on average, and on one at a time
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        work: Option<Duration>,
    },
    /// Answer with a colour at /colour, and with a page of many answers at /
    Colour {
        #[command(flatten)]
        listen: Listen,
        /// The colour's name, as CSS has it
        #[arg(long, default_value = "blue")]
        colour: String,
        /// So many of a hundred answers are failures, of status 500
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
        errors: u32,
    },
    /// Bookinfo's page (DETAILS_HOSTNAME, REVIEWS_HOSTNAME, RATINGS_HOSTNAME and ..._SERVICE_PORT say whom it asks)
    Productpage {
        #[command(flatten)]
        listen: Listen,
    },
    /// Bookinfo's facts about a book
    Details {
        #[command(flatten)]
        listen: Listen,
    },
    /// Bookinfo's reviews: VERSION v1 has no stars, v2 black ones, v3 red ones
    Reviews {
        #[command(flatten)]
        listen: Listen,
    },
    /// Bookinfo's numbers of stars
    Ratings {
        #[command(flatten)]
        listen: Listen,
    },
    /// Answer everything with who answers and what was asked: HTTP, gRPC (weir.sample.Echo), a WebSocket at /ws
    StandIn {
        #[command(flatten)]
        listen: Listen,
    },
    /// Send back every byte
    TcpEcho {
        #[command(flatten)]
        listen: Listen,
    },
    /// Send a bounded load and print what came back as JSON
    Load(Box<LoadArgs>),
    /// Ask a stand-in or tcp-echo in a protocol; exit code 1 if the answer is not what was sent
    Ask {
        /// The protocol
        protocol: ask::Protocol,
        /// Whom to ask; of a URL for tcp only the host and port count
        url: String,
    },
    /// GET a URL and print the body; exit code 1 for a status of 400 or more
    Fetch {
        /// POST instead
        #[arg(long)]
        post: bool,
        /// What to get
        url: String,
    },
}

/// Where a role listens.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// A port to listen on; may be repeated [default: 9080 for bookinfo's roles, else 8080]
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<u16>,
    /// The address to listen on; `::` is all of both families
    #[arg(long, default_value = "0.0.0.0")]
    address: IpAddr,
    /// Listen on nothing, and only run
    #[arg(long, conflicts_with = "ports")]
    no_port: bool,
    /// When asked to end, end at once, whatever is in flight
    #[arg(long)]
    abrupt: bool,
}

impl Listen {
    fn addresses(&self, default: u16) -> Vec<SocketAddr> {
        let ports = if self.ports.is_empty() && !self.no_port { &[default] } else { self.ports.as_slice() };
        ports.iter().map(|port| SocketAddr::from((self.address, *port))).collect()
    }
}

impl Command {
    /// Does it, until it is done or, for a role, until it is asked to end.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Command::Product { listen, order_history, drop } => play(Role::Product { order_history, drop }, listen).await,
            Command::OrderHistory { listen, work } => play(Role::OrderHistory { work }, listen).await,
            Command::Colour { listen, colour, errors } => play(Role::Colour { colour, errors }, listen).await,
            Command::Productpage { listen } => play(Role::Productpage(Hosts::from_env()), listen).await,
            Command::Details { listen } => play(Role::Details, listen).await,
            Command::Reviews { listen } => play(Role::Reviews(Hosts::from_env()), listen).await,
            Command::Ratings { listen } => play(Role::Ratings, listen).await,
            Command::StandIn { listen } => play(Role::StandIn, listen).await,
            Command::TcpEcho { listen } => {
                tcp_echo::start(server::bind(&listen.addresses(8080)).await?);
                server::asked_to_end().await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Load(args) => {
                print(&crate::load::run(args.config()?).await?)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Ask { protocol, url } => {
                print(&ask::ask(protocol, &url).await?)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Fetch { post, url } => {
                write(&ask::fetch(if post { Method::POST } else { Method::GET }, &url).await?)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Prints `value` as JSON to read.
fn print(value: &impl Serialize) -> anyhow::Result<()> {
    write(format!("{}\n", serde_json::to_string_pretty(value)?).as_bytes())
}

/// A reader that has seen enough, such as `head`, is no failure.
fn write(bytes: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Serves as `role` until the process is asked to end, and then answers what is in flight.
async fn play(role: Role, listen: Listen) -> anyhow::Result<ExitCode> {
    let identity = Identity::from_env(role.name());
    let addresses = listen.addresses(role.default_port());
    let server = Server::start(App::new(role, identity), &addresses).await?;
    server::asked_to_end().await?;
    if !listen.abrupt {
        server.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_on_all_ports_asked_for_on_the_default_for_none_and_on_none_if_asked() {
        let listen = |args: &[&str]| match Cli::try_parse_from(args).unwrap().command {
            Command::StandIn { listen } => listen.addresses(8080),
            other => panic!("{other:?}"),
        };
        let everywhere = |port| SocketAddr::from(([0, 0, 0, 0], port));

        assert_eq!(listen(&["stand-in"]), [everywhere(8080)]);
        assert_eq!(listen(&["stand-in", "--no-port"]), []);
        assert_eq!(listen(&["stand-in", "--port", "80", "--port", "443"]), [everywhere(80), everywhere(443)]);
    }

    #[test]
    fn a_load_has_a_url_and_a_bound() {
        let parses = |args: &[&str]| Cli::try_parse_from([&["load"], args].concat()).is_ok();

        assert!(parses(&["--url", "http://shop/", "--requests", "5"]));
        assert!(parses(&["--url", "http://shop/", "--requests", "5", "--duration", "2m", "--header", "x-zone:a"]));
        assert!(!parses(&["--url", "http://shop/", "--duration", "2 parsecs"]));
        assert!(!parses(&["--url", "http://shop/"]));
        assert!(!parses(&["--requests", "5"]));
    }

    #[test]
    fn arguments_that_make_no_sense_end_with_code_2() {
        assert_eq!(crate::run(["paint".into()].into_iter()), ExitCode::from(2));
    }
}
