//! `openclaw qr`.

use std::io::IsTerminal as _;

use openclaw_gateway_service::config::Config;
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::paths::{Paths, Profile};
use openclaw_protocol_core::json::{Json, Object};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;

use crate::args::{Globals, Qr};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{ADMIN, milliseconds};

const DOWNGRADED: &str = "Warning: the address is plain ws://, which others on the network can read, so the code was limited: no administration. For all of it use a wss:// address and make a new code.";
/// White on black, whatever colours the terminal has: a scanner wants the light parts light.
const COLOURS: [&str; 2] = ["\u{1b}[97;40m", "\u{1b}[0m"];

/// What `device.pair.setupCode` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Setup {
    setup_code: String,
    gateway_url: String,
    #[serde(default)]
    gateway_urls: Vec<String>,
    auth: String,
    url_source: String,
    access: String,
    #[serde(default)]
    access_downgraded: bool,
    setup_id: Option<String>,
    expires_at_ms: Option<u64>,
}

/// Makes a setup code, and draws it.
pub(super) fn run(globals: &Globals, mut args: Qr) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = super::target(globals, &flags)?;
    let url = args.url.as_deref().or(args.public_url.as_deref());
    if url.is_some_and(|url| url.trim().is_empty()) {
        return Err(Failure::usage("Invalid --url. It must not be empty."));
    }
    if args.remote && url.is_none() {
        require_remote(globals)?;
    }
    let params = Object::new().maybe_text("publicUrl", url.map(str::trim));
    let params = if args.remote {
        params.boolean("preferRemoteUrl", true)
    } else {
        params
    };
    let profile = args.limited.then_some("limited");
    let params = params
        .boolean("includeQr", false)
        .maybe_text("bootstrapProfile", profile);
    let answer = smol::block_on(async {
        let session = target.connect(&[ADMIN], within).await?;
        let answer = session.ask_with("device.pair.setupCode", params).await;
        session.close().await;
        answer.map_err(|failure| {
            failure.hint_if_answered(|| {
                "Pass --url with the address at which the device reaches the gateway, for example wss://gateway.example.".to_owned()
            })
        })
    })?;
    let setup: Setup = answer.read().map_err(|_| {
        Failure::other("The gateway's answer to device.pair.setupCode cannot be read.")
    })?;
    if flags.json {
        output::json(&setup.document())?;
    } else if args.setup_code_only {
        output::text(&format!("{}\n", output::line(&setup.setup_code)))?;
        if setup.access_downgraded {
            output::complain(DOWNGRADED);
        }
    } else {
        let drawn = if args.no_ascii {
            None
        } else {
            draw(&setup.setup_code)
        };
        output::text(&setup.describe(drawn.as_deref(), target.invocation()))?;
    }
    Ok(Exit::Ok)
}

/// The gateway would take another address where this one is not set.
fn require_remote(globals: &Globals) -> Result<(), Failure> {
    let configuration = |fault: &dyn std::error::Error| Failure::configuration(fault.to_string());
    let profile = Profile::choose(globals.dev, globals.profile.as_deref())
        .map_err(|fault| Failure::usage(fault.to_string()))?;
    let paths = Paths::new(&profile, &Environment::of_this_process())
        .map_err(|fault| configuration(&fault))?;
    let config = Config::read(&paths.config_path).map_err(|fault| configuration(&fault))?;
    match config.and_then(|config| config.gateway.remote.url) {
        Some(_) => Ok(()),
        None => Err(
            Failure::configuration("qr --remote requires gateway.remote.url.").hint(format!(
                "Set it in {}, or pass --url.",
                paths.config_path.display()
            )),
        ),
    }
}

impl Setup {
    fn document(&self) -> Json {
        let object = Object::new()
            .text("setupCode", &self.setup_code)
            .text("gatewayUrl", &self.gateway_url);
        let object = if self.gateway_urls.is_empty() {
            object
        } else {
            object.texts("gatewayUrls", &self.gateway_urls)
        };
        let object = object
            .text("auth", &self.auth)
            .text("urlSource", &self.url_source)
            .text("access", &self.access);
        let object = if self.access_downgraded {
            object.boolean("accessDowngraded", true)
        } else {
            object
        };
        let object = object.maybe_text("setupId", self.setup_id.as_deref());
        match self.expires_at_ms {
            Some(ms) => object.number("expiresAtMs", ms),
            None => object,
        }
        .finish()
    }

    fn describe(&self, drawn: Option<&str>, invocation: &str) -> String {
        let mut text = "\
Pairing QR
Scan this with the OpenClaw mobile app (Onboarding -> Scan QR).

"
        .to_owned();
        if let Some(drawn) = drawn {
            text += &format!("{drawn}\n\n");
        }
        let mut rows = vec![
            ("Setup code", &self.setup_code),
            ("Gateway", &self.gateway_url),
        ];
        let others = self
            .gateway_urls
            .iter()
            .filter(|url| **url != self.gateway_url);
        rows.extend(others.map(|url| ("Fallback", url)));
        rows.extend([("Auth", &self.auth), ("Access", &self.access)]);
        for (name, value) in rows {
            text += &format!("{name}: {}\n", output::line(value));
        }
        if self.access_downgraded {
            text += &format!("{DOWNGRADED}\n");
        }
        text += &format!(
            "\
Source: {}

The code is good for one device and ten minutes. Where a request is left over, approve it with:
  {invocation} devices list
  {invocation} devices approve <requestId>
",
            output::line(&self.url_source)
        );
        text
    }
}

/// Draws a code with two rows to a line; `None` if it is too long for one.
fn draw(code: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(code, EcLevel::L).ok()?;
    // Terminals are dark, so what is drawn is the light part.
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    if !std::io::stdout().is_terminal() {
        return Some(drawn);
    }
    let [on, off] = COLOURS;
    let lines: Vec<String> = drawn
        .lines()
        .map(|line| format!("{on}{line}{off}"))
        .collect();
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_usual_length_fits_a_terminal() {
        let drawn = draw(&"x".repeat(260)).unwrap();
        assert!(drawn.lines().count() <= 40, "{drawn}");
        for line in drawn.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(line.chars().all(|c| " ▀▄█".contains(c)), "{line}");
        }
        // The quiet zone is light.
        assert!(drawn.starts_with('█'));
        assert!(draw(&"x".repeat(10_000)).is_none());
    }
}
