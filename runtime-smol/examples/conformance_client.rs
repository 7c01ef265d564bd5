//! The client of this crate as `openclaw-conformance client` wants it: one job, named in the environment.
//!
//! `cargo build -p openclaw-runtime-smol --example conformance_client`, and then
//! `openclaw-conformance client --command target/debug/examples/conformance_client`.

use std::env;
use std::error::Error;

use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{Builder, Gateway, Patience};

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let url = env::var("OPENCLAW_GATEWAY_URL")?;
    job(&url, Patience::default())
}

/// Does the job that the environment names.
pub(crate) fn job(url: &str, patience: Patience) -> Done {
    let gateway = Gateway::builder(url)
        .token(env::var("OPENCLAW_GATEWAY_TOKEN")?)
        .scopes(["operator.read", "operator.write"]);
    smol::block_on(async {
        match env::var("OPENCLAW_CONFORMANCE_JOB")?.as_str() {
            "health" => health(gateway).await,
            "pair" => pair(gateway).await,
            "run" => run(gateway, patience).await,
            "stay" => stay(gateway, patience).await,
            other => Err(format!("no job is called {other:?}").into()),
        }
    })
}

async fn health(gateway: Builder) -> Done {
    let gateway = gateway.connect().await?;
    let health = gateway.request("health", ()).await;
    gateway.close().await;
    print(&health?);
    Ok(())
}

async fn pair(gateway: Builder) -> Done {
    let gateway = gateway.connect().await?;
    let health = gateway.request("health", ());
    let status = gateway.request("status", ());
    let both = smol::future::zip(health, status).await;
    gateway.close().await;
    print(&both.0?);
    print(&both.1?);
    Ok(())
}

async fn run(gateway: Builder, patience: Patience) -> Done {
    let link = gateway.link().patience(patience).start()?;
    let params = Object::new().text("message", "Say hello.").text(
        "idempotencyKey",
        &format!("conformance-{}", std::process::id()),
    );
    let end = match link.run("agent", params).await {
        Ok(run) => run.finish().await,
        Err(error) => Err(error),
    };
    link.close().await;
    print(&end?);
    Ok(())
}

async fn stay(gateway: Builder, patience: Patience) -> Done {
    let link = gateway.link().patience(patience).start()?;
    let mut states = link.states();
    while states.next().await.is_some() {}
    Err("the link has stopped".into())
}

fn print(payload: &Json) {
    println!("{}", payload.as_str());
}
