//! Asks a gateway for its health, then runs an agent and prints what it says.
//!
//! `OPENCLAW_GATEWAY_TOKEN=… cargo run -p openclaw-runtime-smol --example first_conversation`

use openclaw_protocol_core::json::Object;
use openclaw_runtime_smol::client::Gateway;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(async {
        let gateway = Gateway::builder("ws://127.0.0.1:18789")
            .token(std::env::var("OPENCLAW_GATEWAY_TOKEN").unwrap_or_default())
            .scopes(["operator.read", "operator.write"])
            .connect()
            .await?;
        println!("health: {}", gateway.request("health", ()).await?.as_str());

        let message = Object::new()
            .text("message", "Say hello.")
            .text("idempotencyKey", "first-conversation");
        let mut run = gateway.run("agent", message).await?;
        while let Some(push) = run.next().await {
            println!("{}: {}", push.event, push.payload.as_str());
        }
        println!("final: {}", run.finish().await?.as_str());
        gateway.close().await;
        Ok(())
    })
}
