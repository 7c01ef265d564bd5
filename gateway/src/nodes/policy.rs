//! Which commands nodes may offer, and which may be invoked.
//!
//! What a node says that it can do is a claim. A command passes where the node's platform has it by default, or where the
//! operator allowed it, and where nobody denied it.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::json::{Object, cut};
use openclaw_protocol_core::scope::Scope;

use super::platform::Platform;
use super::surface::Surface;

/// What hosts do for operators; by default these may be offered, and are invoked once somebody approved them.
const HOST: [&str; 13] = [
    "system.run.prepare",
    "system.run",
    "system.which",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "fs.listDir",
    "terminal.upload",
    "browser.proxy",
    "browser.proxy.upload.v1",
    "mcp.tools.call.v1",
    "agent.cli.claude.run.v1",
    "screen.snapshot",
    "desktop.stream",
];
/// What needs `operator.admin`, to approve it and to invoke it through.
const OF_ADMINS: [&str; 9] = [
    "system.run",
    "system.run.prepare",
    "system.which",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "browser.proxy",
    "browser.proxy.upload.v1",
    "fs.listDir",
    "terminal.upload",
];
/// What only who has `operator.admin` may invoke.
const INVOKED_BY_ADMINS: [&str; 4] = [
    "fs.listDir",
    "terminal.upload",
    "browser.proxy",
    "browser.proxy.upload.v1",
];
/// What spends money, records people or writes where it cannot be taken back.
const DANGEROUS: [&str; 10] = [
    "camera.snap",
    "camera.clip",
    "camera.ptz.control",
    "screen.record",
    "contacts.add",
    "calendar.add",
    "reminders.add",
    "sms.send",
    "sms.search",
    "health.summary",
];
const TALK: [&str; 4] = [
    "talk.ptt.start",
    "talk.ptt.stop",
    "talk.ptt.cancel",
    "talk.ptt.once",
];
/// What the gateway of a release says to its own workers; nobody else does.
const PRIVATE: &str = "worker.";

const PHONE: [&str; 10] = [
    "camera.list",
    "location.get",
    "device.info",
    "device.status",
    "contacts.search",
    "calendar.events",
    "reminders.list",
    "photos.latest",
    "motion.activity",
    "motion.pedometer",
];

/// The capabilities that nothing is left of without one of these commands.
const FAMILIES: [(&str, &[&str]); 4] = [
    (
        "camera",
        &[
            "camera.list",
            "camera.ptz.status",
            "camera.snap",
            "camera.clip",
            "camera.ptz.control",
        ],
    ),
    ("computer", &["computer.act"]),
    ("location", &["location.get"]),
    (
        "screen",
        &["screen.snapshot", "desktop.stream", "screen.record"],
    ),
];

/// What the operator says of commands: `gateway.nodes.commands`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Commands that may be offered and invoked whatever the platform.
    pub allow: Vec<String>,
    /// Commands that are not invoked, whoever allows them.
    pub deny: Vec<String>,
}

/// Why a command is not invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The platform does not have it and the operator did not allow it.
    NotListed,
    /// The node has it and did not say so.
    NotDeclared,
    /// The node says that it has some, and nobody approved them yet.
    Pending,
    /// The node offers nothing at all.
    NothingDeclared,
}

impl Policy {
    /// What is left of a declaration of which only commands count that may be asked for.
    #[must_use]
    pub fn admit(&self, declared: &Surface, platform: Platform, family: Option<&str>) -> Surface {
        let passes = |command: &String| self.may_offer(command, declared, platform, family);
        let commands: Vec<String> = declared
            .commands
            .iter()
            .filter(|c| passes(c))
            .cloned()
            .collect();
        let is_hollow = |cap: &String| {
            let family = FAMILIES.iter().find(|(name, _)| name == cap);
            family.is_some_and(|(_, family)| {
                let is_of_it = |command: &String| family.contains(&command.as_str());
                declared.commands.iter().any(is_of_it) && !commands.iter().any(is_of_it)
            })
        };
        Surface {
            caps: declared
                .caps
                .iter()
                .filter(|cap| !is_hollow(cap))
                .cloned()
                .collect(),
            permissions: declared.permissions.clone(),
            commands,
        }
    }

    /// Looks whether a command may be invoked on a node that offers `effective` and said that it has `declared`.
    ///
    /// # Errors
    /// What bars it.
    pub fn check(
        &self,
        command: &str,
        effective: &Surface,
        declared: &Surface,
        platform: Platform,
        family: Option<&str>,
    ) -> Result<(), Barred> {
        let is_offered = effective.commands.iter().any(|own| own == command);
        let is_listed = !self.denies(command)
            && (self.allows(command)
                || has_by_default(command, declared, platform, family)
                || is_offered && may_host(platform) && HOST.contains(&command));
        if !is_listed {
            Err(Barred::NotListed)
        } else if is_offered {
            Ok(())
        } else if !effective.commands.is_empty() {
            Err(Barred::NotDeclared)
        } else if declared.commands.is_empty() {
            Err(Barred::NothingDeclared)
        } else {
            Err(Barred::Pending)
        }
    }

    /// The refusal of an invocation; `shown` is the platform as the node tells it.
    #[must_use]
    pub fn refusal(&self, barred: Barred, command: &str, shown: &str) -> ErrorShape {
        let shown = cut(shown.trim(), 120);
        let shown = if shown.is_empty() { "unknown" } else { shown };
        let name = cut(command, 120);
        let (reason, why) = match barred {
            Barred::NotListed => ("command not allowlisted", self.not_listed(command, name, shown)),
            Barred::NotDeclared => (
                "command not declared by node",
                format!("the node (platform: {shown}) does not support \"{name}\""),
            ),
            Barred::Pending => (
                "node did not declare commands",
                "the node's declared command surface is pending approval; run `openclaw nodes pending`, then `openclaw nodes approve <requestId>`"
                    .to_owned(),
            ),
            Barred::NothingDeclared => (
                "node did not declare commands",
                "the node did not declare any supported commands".to_owned(),
            ),
        };
        ErrorShape::invalid_request(format!("node command not allowed: {why}"))
            .with_details(Object::new().text("reason", reason).text("command", name))
    }

    fn not_listed(&self, command: &str, name: &str, shown: &str) -> String {
        if command.starts_with("talk.") {
            format!("\"{name}\" requires a trusted Talk-capable node")
        } else if self.denies(command) {
            format!("\"{name}\" is blocked by gateway.nodes.commands.deny")
        } else if DANGEROUS.contains(&command) {
            format!("\"{name}\" requires explicit gateway.nodes.commands.allow opt-in")
        } else {
            format!("\"{name}\" is not in the allowlist for platform \"{shown}\"")
        }
    }

    fn may_offer(
        &self,
        command: &str,
        declared: &Surface,
        platform: Platform,
        family: Option<&str>,
    ) -> bool {
        if is_private(command) {
            return false;
        }
        let is_known = self.allows(command)
            || has_by_default(command, declared, platform, family)
            || may_host(platform) && HOST.contains(&command);
        is_known && !self.denies(command)
    }

    fn allows(&self, command: &str) -> bool {
        !is_private(command) && self.allow.iter().any(|allowed| allowed == command)
    }

    fn denies(&self, command: &str) -> bool {
        self.deny.iter().any(|denied| denied == command)
    }
}

/// The scopes that are needed to approve what is asked for.
#[must_use]
pub fn needed_to_approve(commands: &[String]) -> &'static [Scope] {
    if commands.is_empty() {
        &[Scope::Pairing]
    } else if commands
        .iter()
        .any(|command| OF_ADMINS.contains(&command.as_str()))
    {
        &[Scope::Pairing, Scope::Admin]
    } else {
        &[Scope::Pairing, Scope::Write]
    }
}

/// Whether only who has `operator.admin` may invoke a command.
#[must_use]
pub fn is_for_admins(command: &str) -> bool {
    INVOKED_BY_ADMINS.contains(&command)
}

/// The refusal of a command that nobody invokes this way, whatever the node.
#[must_use]
pub fn never_invoked(command: &str) -> Option<ErrorShape> {
    let why = if is_private(command) {
        "node.invoke does not allow private node controls"
    } else if command.starts_with("system.execApprovals.") {
        "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*"
    } else if command == "agent.cli.claude.run.v1" {
        "node.invoke does not allow Claude agent runs; use sessions.catalog.continue"
    } else {
        return None;
    };
    let details = Object::new().text("command", cut(command, 120));
    Some(ErrorShape::invalid_request(why).with_details(details))
}

fn is_private(command: &str) -> bool {
    command.starts_with(PRIVATE)
}

/// Whether a platform's nodes are hosts that programs run on.
const fn may_host(platform: Platform) -> bool {
    matches!(
        platform,
        Platform::MacOs | Platform::Linux | Platform::Windows
    )
}

fn has_by_default(
    command: &str,
    declared: &Surface,
    platform: Platform,
    family: Option<&str>,
) -> bool {
    let more: &[&str] = match platform {
        Platform::Ios => &["system.notify"],
        Platform::WatchOs => &["device.info", "device.status", "system.notify"],
        Platform::Android => &[
            "system.notify",
            "notifications.list",
            "notifications.actions",
            "device.permissions",
            "device.health",
            "device.apps",
            "callLog.search",
            "mobile.ui.observe",
            "mobile.ui.act",
        ],
        Platform::MacOs => &[
            "camera.ptz.status",
            "device.apps",
            "system.notify",
            "computer.act",
            "canvas.present",
            "canvas.hide",
            "canvas.navigate",
            "system.info",
        ],
        Platform::Linux => &[
            "camera.list",
            "location.get",
            "system.info",
            "system.notify",
            "computer.act",
        ],
        Platform::Windows => &[
            "camera.list",
            "location.get",
            "device.info",
            "device.status",
            "system.info",
            "system.notify",
            "computer.act",
        ],
        Platform::Unknown => &["camera.list", "location.get", "system.notify"],
    };
    let is_phone = matches!(
        platform,
        Platform::Ios | Platform::Android | Platform::MacOs
    );
    let is_iphone = platform == Platform::Ios
        && family.is_some_and(|family| family.trim().eq_ignore_ascii_case("iphone"));
    let talks = declared.caps.iter().any(|cap| cap == "talk")
        || declared.commands.iter().any(|c| c.starts_with("talk."));
    more.contains(&command)
        || is_phone && PHONE.contains(&command)
        || is_iphone && ["watch.status", "watch.notify"].contains(&command)
        || talks && TALK.contains(&command)
}

#[cfg(test)]
mod tests;
