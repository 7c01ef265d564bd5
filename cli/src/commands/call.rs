//! `openclaw gateway call`.

use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::RequestError;

use crate::args::{Call, Globals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{Session, milliseconds};

const FAILED: &str = "Gateway call failed";

/// Calls one method and prints its answer.
pub(super) fn run(globals: &Globals, mut args: Call) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let params = match args.params.take() {
        Some(text) => Some(
            Json::parse(text)
                .map_err(|_| Failure::usage("--params must be valid JSON.").context(FAILED))?,
        ),
        None => None,
    };
    let target = super::target(globals, &flags)?;
    let answer = smol::block_on(async {
        let session = target
            .connect(&target.scopes_for(&args.method), within)
            .await?;
        let answer = ask(&session, &args.method, params, args.expect_final).await;
        session.close().await;
        answer.map_err(|error| target.request_failure(error).context(FAILED))
    })?;
    if !flags.json {
        output::text(&format!("Gateway call: {}\n", output::line(&args.method)))?;
    }
    output::json(&answer)?;
    Ok(Exit::Ok)
}

async fn ask(
    session: &Session<'_>,
    method: &str,
    params: Option<Json>,
    expect_final: bool,
) -> Result<Json, RequestError> {
    if expect_final {
        session.gateway.run(method, params).await?.finish().await
    } else {
        session.gateway.request(method, params).await
    }
}
