//! The `openclaw` command.
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::service::Service;
use openclaw_gateway_service::startup::{self, Flags};
use openclaw_protocol_core::limits::Limits;
fn flag(name: &str) -> Option<String> {
    let a: Vec<String> = std::env::args().collect();
    a.iter()
        .position(|x| x == name)
        .and_then(|i| a.get(i + 1).cloned())
}
fn main() {
    let flags = Flags {
        allow_unconfigured: true,
        port: flag("--port"),
        secrets: openclaw_gateway_service::secret::resolve::SecretFlags::new(
            flag("--token").as_deref(),
            None,
        )
        .unwrap(),
        ..Flags::default()
    };
    let prepared = startup::prepare(&flags, &Environment::of_this_process()).unwrap();
    let service = Service::bind(prepared, Limits::default()).unwrap();
    let stopper = service.stopper();
    openclaw_runtime_smol::threads::run(|executor| async move {
        executor
            .spawn(async move {
                use smol::stream::StreamExt;
                let mut signals = async_signal::Signals::new([
                    async_signal::Signal::Term,
                    async_signal::Signal::Int,
                ])
                .unwrap();
                while signals.next().await.is_some() {
                    stopper.stop();
                }
            })
            .detach();
        service.run(std::sync::Arc::clone(&executor)).await;
    });
}
