//! `openclaw devices clear`.

use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::RequestError;

use super::listing::{Listing, Request};
use crate::args::{Clear, Globals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{Session, milliseconds};

/// What was done so far.
#[derive(Default)]
struct Done {
    removed: Vec<String>,
    rejected: Vec<String>,
}

/// Forgets every device, and where that is asked for rejects every request.
pub(super) fn run(globals: &Globals, mut args: Clear) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    if !args.yes {
        return Err(
            Failure::usage("Refusing to clear pairing table without --yes").hint(format!(
                "Every paired device would have to be approved again. {} devices list shows them.",
                globals.invocation()
            )),
        );
    }
    let target = crate::commands::target(globals, &flags)?;
    let done = smol::block_on(async {
        let listing = Listing::ask(&target, within).await?;
        let own = target.own_device();
        let mut devices: Vec<&str> = listing
            .paired
            .iter()
            .map(|device| device.device_id.as_str())
            .collect();
        // Removing our own device ends this connection.
        devices.sort_by_key(|id| Some(*id) == own.as_deref());
        let requests = listing.pending.iter().filter(|_| args.pending);
        let requests: Vec<&str> = requests.map(Request::id).collect();
        let session = target
            .connect(&target.scopes_over_devices(), within)
            .await?;
        let mut done = Done::default();
        let result = done.work(&session, &requests, &devices).await;
        session.close().await;
        match result {
            Ok(()) => Ok(done),
            Err(error) => Err(target
                .request_failure(error)
                .context("Gateway call failed")
                .beside("done", done.document())
                .hint(format!("Before that: {}", done.words().join("; ")))),
        }
    })?;
    if flags.json {
        output::json(&done.document())?;
    } else {
        let lines: String = done
            .words()
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        output::text(&lines)?;
    }
    Ok(Exit::Ok)
}

impl Done {
    async fn work(
        &mut self,
        session: &Session<'_>,
        requests: &[&str],
        devices: &[&str],
    ) -> Result<(), RequestError> {
        for id in requests {
            let params = Object::new().text("requestId", id);
            if is_done(session.gateway.request("device.pair.reject", params).await)? {
                self.rejected.push((*id).to_owned());
            }
        }
        for id in devices {
            let params = Object::new().text("deviceId", id);
            if is_done(session.gateway.request("device.pair.remove", params).await)? {
                self.removed.push((*id).to_owned());
            }
        }
        Ok(())
    }

    fn document(&self) -> Json {
        Object::new()
            .texts("removedDevices", &self.removed)
            .texts("rejectedPending", &self.rejected)
            .finish()
    }

    fn words(&self) -> Vec<String> {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (removed, rejected) = (self.removed.len(), self.rejected.len());
        let mut words = vec![format!(
            "Cleared {removed} paired device{}",
            plural(removed)
        )];
        if rejected > 0 {
            words.push(format!(
                "Rejected {rejected} pending request{}",
                plural(rejected)
            ));
        }
        words
    }
}

/// Tells whether this did it; what is gone already is gone.
fn is_done(answer: Result<Json, RequestError>) -> Result<bool, RequestError> {
    match answer {
        Ok(_) => Ok(true),
        Err(RequestError::Answered { error, .. })
            if matches!(&*error.message, "unknown requestId" | "unknown deviceId") =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
