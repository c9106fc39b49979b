//! The command line: one subcommand per role, and the tools that ask the roles.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
#[command(name = "weir-sample", version, no_binary_name = true)]
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
        listen: Listen<8080>,
        /// What to ask
        #[arg(long, value_name = "URL", default_value = "http://order-history/")]
        order_history: String,
    },
    /// Answer with this zone
    OrderHistory {
        #[command(flatten)]
        listen: Listen<8080>,
    },
    /// Answer with a colour at /colour, and with a page of many answers at /
    Colour {
        #[command(flatten)]
        listen: Listen<8080>,
        /// The colour's name, as CSS has it
        #[arg(long, default_value = "blue")]
        colour: String,
    },
    /// Bookinfo's page (DETAILS_HOSTNAME, REVIEWS_HOSTNAME, RATINGS_HOSTNAME and ..._SERVICE_PORT say whom it asks)
    Productpage {
        #[command(flatten)]
        listen: Listen<9080>,
    },
    /// Bookinfo's facts about a book
    Details {
        #[command(flatten)]
        listen: Listen<9080>,
    },
    /// Bookinfo's reviews: VERSION v1 has no stars, v2 black ones, v3 red ones
    Reviews {
        #[command(flatten)]
        listen: Listen<9080>,
    },
    /// Bookinfo's numbers of stars
    Ratings {
        #[command(flatten)]
        listen: Listen<9080>,
    },
    /// Answer everything with who answers and what was asked: HTTP, gRPC (weir.sample.Echo), a WebSocket at /ws
    StandIn {
        #[command(flatten)]
        listen: Listen<8080>,
    },
    /// Send back every byte
    TcpEcho {
        #[command(flatten)]
        listen: Listen<8080>,
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
}

/// Where a role listens: on all interfaces.
#[derive(Args, Clone, Debug)]
pub struct Listen<const DEFAULT: u16> {
    /// A port to listen on; may be repeated
    #[arg(long = "port", value_name = "PORT", default_values_t = [DEFAULT])]
    ports: Vec<u16>,
}

impl Command {
    /// Does it, until it is done or, for a role, until it is asked to end.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Command::Product { listen, order_history } => play(Role::Product { order_history }, &listen.ports).await,
            Command::OrderHistory { listen } => play(Role::OrderHistory, &listen.ports).await,
            Command::Colour { listen, colour } => play(Role::Colour { colour }, &listen.ports).await,
            Command::Productpage { listen } => play(Role::Productpage(Hosts::from_env()), &listen.ports).await,
            Command::Details { listen } => play(Role::Details, &listen.ports).await,
            Command::Reviews { listen } => play(Role::Reviews(Hosts::from_env()), &listen.ports).await,
            Command::Ratings { listen } => play(Role::Ratings, &listen.ports).await,
            Command::StandIn { listen } => play(Role::StandIn, &listen.ports).await,
            Command::TcpEcho { listen } => {
                tcp_echo::start(server::bind(&server::everywhere(&listen.ports)).await?);
                server::asked_to_end().await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Load(args) => {
                let report = crate::load::run(args.config()?).await?;
                println!("{}", serde_json::to_string_pretty(&report)?);
                Ok(ExitCode::SUCCESS)
            }
            Command::Ask { protocol, url } => {
                println!("{}", serde_json::to_string_pretty(&ask::ask(protocol, &url).await?)?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Serves as `role` on `ports` until the process is asked to end, and then answers what is in flight.
async fn play(role: Role, ports: &[u16]) -> anyhow::Result<ExitCode> {
    let identity = Identity::from_env(role.name());
    let server = Server::start(App::new(role, identity), &server::everywhere(ports)).await?;
    server::asked_to_end().await?;
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookinfo_listens_on_9080_and_the_others_on_8080_unless_told() {
        let ports = |args: &[&str]| match Cli::try_parse_from(args).unwrap().command {
            Command::Productpage { listen } => listen.ports,
            Command::StandIn { listen } => listen.ports,
            other => panic!("{other:?}"),
        };

        assert_eq!(ports(&["productpage"]), [9080]);
        assert_eq!(ports(&["stand-in"]), [8080]);
        assert_eq!(ports(&["stand-in", "--port", "80", "--port", "443"]), [80, 443]);
    }

    #[test]
    fn arguments_that_make_no_sense_end_with_code_2() {
        assert_eq!(crate::run(["paint".into()].into_iter()), ExitCode::from(2));
    }
}
