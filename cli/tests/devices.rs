//! Devices of other hosts: how they are approved and managed, and how this host's own is let in elsewhere.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use support::{Done, Gateway, Home};

mod support;

const SECRET: &str = "hunter2-hunter2";

/// A gateway that listens for other hosts, and one of those.
struct Pair {
    host: Home,
    other: Home,
    url: String,
    _gateway: Gateway,
}

impl Pair {
    /// Returns none where this machine has no address that is not loopback.
    fn new() -> Option<Self> {
        let Some(address) = own_address() else {
            eprintln!("skipped: this machine has no address but loopback");
            return None;
        };
        let mut host = Home::new();
        host.write_config(&format!(
            r#"{{gateway: {{mode: "local", bind: "lan", auth: {{token: "{SECRET}"}}}}}}"#
        ));
        let gateway = host.gateway(&[]);
        let url = match address {
            IpAddr::V4(address) => format!("ws://{address}:{}", host.port),
            IpAddr::V6(address) => format!("ws://[{address}]:{}", host.port),
        };
        Some(Self {
            other: Home::new(),
            host,
            url,
            _gateway: gateway,
        })
    }

    /// Runs a command on the gateway's host.
    #[track_caller]
    fn here(&self, line: &str) -> Done {
        self.host.run_line(line).hides(SECRET)
    }

    /// Runs a command on the other host, with the gateway's secret.
    #[track_caller]
    fn there(&self, line: &str) -> Done {
        let line = format!("{line} --url {} --token {SECRET}", self.url);
        self.other.run_line(&line).hides(SECRET)
    }

    /// Runs a command on the other host, with what is kept there.
    #[track_caller]
    fn there_alone(&self, line: &str) -> Done {
        let done = self.other.run_line(&format!("{line} --url {}", self.url));
        match self.token() {
            Some(token) => done.hides(&token),
            None => done,
        }
    }

    /// Has the other host refused, and returns the id of its request.
    #[track_caller]
    fn request(&self, line: &str) -> String {
        let document = self.there(&format!("{line} --json")).exits(77).document();
        let details = &document["error"]["details"];
        assert_eq!(details["code"], "PAIRING_REQUIRED", "{document:#}");
        let id = details["requestId"].as_str().unwrap().to_owned();
        let command = format!("openclaw devices approve {id}");
        assert_eq!(document["approveCommand"], command);
        id
    }

    /// Has the other host's request approved, and the token kept there.
    fn approve(&self, line: &str) {
        let id = self.request(line);
        self.here(&format!("devices approve {id}")).exits(0);
        self.there(line).exits(0);
    }

    fn list(&self) -> Value {
        self.here("devices list --json").exits(0).document()
    }

    fn device(&self) -> String {
        let list = self.list();
        list["paired"][0]["deviceId"].as_str().unwrap().to_owned()
    }

    fn kept(&self) -> Option<Value> {
        let path = self.other.path(".openclaw/identity/device-auth.json");
        let text = fs::read_to_string(path).ok()?;
        let file: Value = serde_json::from_str(&text).unwrap();
        file["gateways"][&self.url].get("operator").cloned()
    }

    /// The token that the other host keeps.
    fn token(&self) -> Option<String> {
        Some(self.kept()?["token"].as_str().unwrap().to_owned())
    }
}

/// Nothing is sent: the system only says which address it would send from.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn who_is_not_approved_learns_why_and_the_command_that_approves() {
    let Some(pair) = Pair::new() else { return };
    let refused = pair.there("health").exits(77);
    let id = pair.request("health");
    says(
        &refused.stderr,
        &[
            "Gateway connect failed: pairing required: device is not approved yet\n",
            "asks for role operator with operator.read\n",
            &format!("Request: {id}\n"),
            &format!("Approve it on the gateway's host: openclaw devices approve {id}\n"),
        ],
    );
    let list = pair.list();
    let pending = &list["pending"][0];
    assert_eq!(pending["requestId"], id);
    assert_eq!(list["paired"], json!([]));
    let device = pending["deviceId"].as_str().unwrap();
    says(&refused.stderr, &[device]);
    says(
        &pair.here("devices list").exits(0).stdout,
        &[
            "Pending (1)\nRequest ",
            &id,
            "new pairing",
            "just now",
            "none",
        ],
    );

    for line in ["devices approve", &format!("devices approve {id} --latest")] {
        let preview = pair.here(line).exits(1);
        says(
            &preview.stdout,
            &[
                &format!("Selected pending device request {id}\n"),
                device,
                "  Requested: roles: operator; scopes: operator.read\n",
                "First-time device pairing request.\n",
            ],
        );
        let command = format!("Approve this exact request with: openclaw devices approve {id}\n");
        assert_eq!(preview.stderr, command);
        let document = pair.here(&format!("{line} --json")).exits(1).document();
        assert_eq!(&document["selected"], pending);
        assert_eq!(
            document["approvalState"],
            json!({
                "kind": "new-pairing",
                "requested": {"roles": ["operator"], "scopes": ["operator.read"]},
                "approved": null,
            })
        );
    }
    let unknown = pair.here("devices approve nope").exits(1);
    says(
        &unknown.stderr,
        &["No pending device request matches nope."],
    );

    let approved = pair.here(&format!("devices approve {id}")).exits(0);
    assert_eq!(approved.stdout, format!("Approved {device} ({id})\n"));
    pair.there("health").exits(0);
    says(
        &pair.here("devices list").exits(0).stdout,
        &[
            "Paired (1)\n",
            &device[..12],
            "operator.read",
            "Full device IDs\n",
            device,
        ],
    );
    let none = pair.here("devices approve").exits(1);
    assert_eq!(
        none.stderr,
        "No pending device pairing requests to approve\n"
    );
}

#[test]
fn a_token_is_kept_and_used_where_no_secret_is_named() {
    let Some(pair) = Pair::new() else { return };
    let alone = pair.there_alone("health").exits(2);
    says(
        &alone.stderr,
        &["gateway url override requires explicit credentials"],
    );
    pair.approve("health");
    for name in ["device.json", "device-auth.json"] {
        let path = pair.other.path(".openclaw/identity").join(name);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(pair.kept().unwrap()["scopes"], json!(["operator.read"]));
    pair.there_alone("health").exits(0);
    says(
        &pair.there_alone("gateway probe").exits(0).stdout,
        &["Auth: device token from /", "Scopes: operator.read\n"],
    );

    let more = pair.there_alone("agent --message hi").exits(77);
    says(
        &more.stderr,
        &["scope mismatch", "with --token or --password"],
    );
    assert_eq!(pair.list()["pending"], json!([]));
    let id = pair.request("agent --message hi");
    let preview = pair.here("devices approve --json").exits(1).document();
    assert_eq!(preview["approvalState"]["kind"], "scope-upgrade");
    let rejected = pair.here(&format!("devices reject {id}")).exits(0);
    assert_eq!(rejected.stdout, format!("Rejected {}\n", pair.device()));
    pair.approve("agent --message hi");
    pair.there_alone("agent --message hi").exits(0);
    pair.there_alone("gateway call health").exits(0);
}

#[test]
fn a_configured_remote_gateway_is_asked_as_a_device_too() {
    let Some(pair) = Pair::new() else { return };
    pair.approve("health");
    let url = &pair.url;
    pair.other.write_config(&format!(
        r#"{{gateway: {{mode: "remote", remote: {{url: "{url}"}}}}}}"#
    ));
    pair.other.run_line("health").exits(0);
    pair.other.write_config(&format!(
        r#"{{gateway: {{mode: "remote", remote: {{url: "{url}", token: "{SECRET}"}}}}}}"#
    ));
    let refused = pair.other.run_line("agent --message hi").exits(77);
    says(
        &refused.hides(SECRET).stderr,
        &[
            "asking for more scopes than currently approved",
            "openclaw devices approve ",
        ],
    );
}

#[test]
fn a_token_that_opens_nothing_any_more_is_dropped() {
    let Some(pair) = Pair::new() else { return };
    pair.approve("health");
    let device = pair.device();
    let rotate = format!("devices rotate --device {device} --role operator");
    let rotated = pair.here(&rotate).exits(0).document();
    assert_eq!(rotated["tokenDelivery"], "withheld-cross-device");
    assert_eq!(rotated.get("token"), None);
    let refused = pair.there_alone("health").exits(77);
    says(
        &refused.stderr,
        &["token mismatch", "opens nothing any more, and was dropped"],
    );
    assert_eq!(pair.kept(), None);
    pair.there("health").exits(0);
    pair.there_alone("health").exits(0);

    let revoke = format!("devices revoke --device {device} --role operator");
    let revoked = pair.here(&revoke).exits(0).document();
    assert_eq!(
        (&revoked["deviceId"], &revoked["role"]),
        (&json!(device), &json!("operator"))
    );
    pair.there_alone("health").exits(77);
    says(
        &pair.here("devices list").exits(0).stdout,
        &["operator (revoked)"],
    );
    let unknown = pair
        .here(&format!("devices revoke --device {device} --role node"))
        .exits(1);
    says(&unknown.stderr, &["has no token for the role node."]);
}

#[test]
fn a_device_that_rotates_its_own_token_keeps_the_new_one() {
    let Some(pair) = Pair::new() else { return };
    pair.approve("health");
    pair.approve("devices list");
    pair.there_alone("devices list").exits(0);
    let before = pair.token().unwrap();
    let rotate = format!(
        "devices rotate --device {} --role operator --scope operator.pairing --url {}",
        pair.device(),
        pair.url
    );
    let rotated = pair
        .other
        .run_line(&rotate)
        .exits(0)
        .hides(&before)
        .document();
    assert_eq!(rotated["tokenDelivery"], "in-band");
    assert_eq!(rotated["scopes"], json!(["operator.pairing"]));
    assert_eq!(pair.token().as_deref(), rotated["token"].as_str());
    pair.there_alone("devices list").exits(0);
}

#[test]
fn devices_are_named_removed_and_cleared() {
    let Some(pair) = Pair::new() else { return };
    pair.approve("health");
    let device = pair.device();
    let mut rename = pair
        .host
        .command(["devices", "rename", "--device", &device, "--name"]);
    rename.arg(" Büro \u{202e}2 ");
    let renamed = Done::of(rename).exits(0);
    assert_eq!(
        renamed.stdout,
        format!("Renamed {device} → Büro \u{fffd}2\n")
    );
    assert_eq!(pair.list()["paired"][0]["operatorLabel"], "Büro \u{202e}2");
    says(
        &pair.here("devices list").exits(0).stdout,
        &["Büro \u{fffd}2  "],
    );
    let removed = pair
        .here(&format!("devices remove {device} --json"))
        .exits(0);
    assert_eq!(removed.document(), json!({"deviceId": device}));
    let again = pair.here(&format!("devices remove {device}")).exits(1);
    says(
        &again.stderr,
        &["unknown deviceId\n", "openclaw devices list shows"],
    );
    assert_eq!(
        pair.here("devices list").exits(0).stdout,
        "No device pairing entries.\n"
    );

    pair.approve("health");
    let id = pair.request("agent --message hi");
    pair.here("devices clear").exits(2);
    assert_eq!(pair.device(), device);
    let cleared = pair.here("devices clear --yes --pending --json").exits(0);
    assert_eq!(
        cleared.document(),
        json!({"removedDevices": [device], "rejectedPending": [id]})
    );
    pair.there_alone("health").exits(77);
    pair.request("health");
    assert_eq!(
        pair.here("devices clear --yes --pending").exits(0).stdout,
        "Cleared 0 paired devices\nRejected 1 pending request\n"
    );
}

#[test]
fn a_device_clears_itself_last() {
    let Some(mut pair) = Pair::new() else { return };
    pair.approve("health");
    let older = pair.device();
    pair.other = Home::new();
    pair.approve("devices list");
    let own = pair.device();
    let cleared = pair.there("devices clear --yes --json").exits(0).document();
    assert_eq!(cleared["removedDevices"], json!([older, own]));
}

#[test]
fn a_setup_code_is_made_for_an_address() {
    let mut home = Home::new();
    home.write_config(r#"{gateway: {mode: "local", auth: {token: "hunter2-hunter2"}}}"#);
    let _gateway = home.gateway(&[]);
    let line = |line: &str| home.run_line(line).hides(SECRET);
    let nowhere = line("qr").exits(1);
    says(&nowhere.stderr, &["only bound to loopback", "Pass --url"]);
    let remote = line("qr --remote").exits(78);
    says(
        &remote.stderr,
        &["qr --remote requires gateway.remote.url."],
    );

    let full = line("qr --url https://gw.example --public-url ws://x --json");
    let full = full.exits(0).document();
    assert_eq!(full["gatewayUrl"], "wss://gw.example");
    assert_eq!(
        (&full["access"], &full["auth"]),
        (&json!("full"), &json!("token"))
    );
    assert_eq!(full.get("accessDowngraded"), None);
    let limited = line("qr --public-url wss://gw.example --limited --json");
    assert_eq!(limited.exits(0).document()["access"], "limited");

    let drawn = line("qr --url ws://10.0.0.9:1").exits(0).stdout;
    says(
        &drawn,
        &[
            "Pairing QR\n",
            "▀",
            "Setup code: ",
            "Gateway: ws://10.0.0.9:1\n",
            "Access: limited\n",
            "Warning: ",
        ],
    );
    let plain = line("qr --url wss://gw.example --no-ascii").exits(0).stdout;
    assert!(
        !plain.contains('█') && !plain.contains("Warning"),
        "{plain}"
    );
    let code = line("qr --url ws://10.0.0.9:1 --setup-code-only").exits(0);
    assert_eq!(code.stdout.trim().split(' ').count(), 1, "{code:?}");
    says(&code.stderr, &["Warning: the address is plain ws://"]);
}
