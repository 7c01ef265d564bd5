//! What the commands do.

use openclaw_gateway_service::environment::Environment;

use crate::args::{ClientFlags, Command, GatewayCommand, Globals, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{Role, Target};

mod agent;
mod call;
mod devices;
mod gateway;
mod health;
mod node;
mod nodes;
mod probe;
mod qr;
mod status;

/// Does what the user wants.
pub(crate) fn run(request: Request) -> Result<Exit, Failure> {
    match request {
        Request::Print(text) => {
            output::text(&text)?;
            Ok(Exit::Ok)
        }
        Request::Do(globals, command) => match *command {
            Command::Gateway(gateway) => match gateway.command {
                GatewayCommand::Run(run) => gateway::run(&globals, &run),
                GatewayCommand::Call(call) => call::run(&globals, call),
                GatewayCommand::Health(health) => health::run_gateway(&globals, health),
                GatewayCommand::Probe(probe) => probe::run(&globals, probe),
            },
            Command::Health(health) => health::run(&globals, health),
            Command::Status(status) => status::run(&globals, status),
            Command::Agent(agent) => agent::run(&globals, agent),
            Command::Devices(devices) => devices::run(&globals, devices),
            Command::Qr(qr) => qr::run(&globals, qr),
            Command::Node(node) => node::run(&globals, node),
            Command::Nodes(nodes) => nodes::run(&globals, nodes),
        },
    }
}

/// Decides which gateway a client's command is for.
fn target(globals: &Globals, flags: &ClientFlags) -> Result<Target, Failure> {
    Target::choose(
        globals,
        flags,
        &Environment::of_this_process(),
        Role::Operator,
    )
}
