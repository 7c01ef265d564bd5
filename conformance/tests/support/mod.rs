//! A real gateway on a loopback port, in this process.

#![allow(dead_code, reason = "not every test file uses everything")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use openclaw_conformance::bench::Options;
use openclaw_conformance::wire::Target;
use openclaw_gateway_service::agents::echo::Echo;
use openclaw_gateway_service::config::limits::LimitsConfig;
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::secret::Secret;
use openclaw_gateway_service::secret::resolve::{Resolved, SecretKind, SecretSource};
use openclaw_gateway_service::service::Service;
use openclaw_gateway_service::startup::{self, Auth, Flags};
use openclaw_runtime_smol::server::Stopper;
use openclaw_runtime_smol::threads;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "conformance-secret";

/// A gateway that stops when it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    _home: TempDir,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::with(LimitsConfig::default())
    }

    pub(crate) fn with(limits: LimitsConfig) -> Self {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags {
            allow_unconfigured: true,
            ..Flags::default()
        };
        let mut prepared = startup::prepare(&flags, &Environment::new(home.path())).unwrap();
        prepared.plan.auth = Auth::Secret(Resolved {
            secret: Secret::new(TOKEN).unwrap(),
            kind: SecretKind::Token,
            source: SecretSource::Generated(home.path().into()),
        });
        prepared.plan.listen.truncate(1);
        prepared.plan.listen[0].address.set_port(0);
        let service = Service::bind(prepared).unwrap().with_limits(limits);
        let (address, stopper) = (service.addresses()[0], service.stopper());
        thread::spawn(move || {
            threads::run(|executor| service.run_with(executor, Arc::new(Echo)));
        });
        Self {
            address,
            stopper,
            _home: home,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopper.stop();
        self.stopper.stop();
    }
}

pub(crate) fn options(address: SocketAddr, timeout: Duration) -> Options {
    let target = Target::parse(&format!("ws://{address}")).unwrap();
    Options {
        timeout,
        run_time: timeout * 3,
        ..Options::new(target, TOKEN)
    }
}
