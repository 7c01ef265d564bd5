//! What a node says that it offers.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hello::connect::{Client, ConnectParams};
use openclaw_protocol_core::json::cut;

use crate::pairing::Face;

/// The most capabilities, commands and permissions that a node may declare.
pub const MAX_NAMES: usize = 256;
/// The longest name of one, in bytes.
pub const MAX_NAME: usize = 128;
/// The most bytes of all names together: a frame has to hold a list of as many nodes as there may be.
const MAX_BYTES: usize = 3 << 10;
/// The longest text that is kept of what a node says of itself, in bytes.
const MAX_TEXT: usize = 128;

/// Capabilities, commands and permissions: claims of a node, or what was approved of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surface {
    /// Groups of features, each once, in the order of the declaration.
    pub caps: Vec<String>,
    /// Commands, each once, in the order of the declaration.
    pub commands: Vec<String>,
    /// Permissions that it has on its host.
    pub permissions: BTreeMap<String, bool>,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFace {
    /// What every device says.
    pub face: Face,
    /// The version of the program.
    pub version: Option<String>,
    /// The version of what it is built on.
    pub core_version: Option<String>,
    /// The version of its surface for people.
    pub ui_version: Option<String>,
    /// The model of the device.
    pub model_identifier: Option<String>,
}

impl From<&Client> for NodeFace {
    fn from(client: &Client) -> Self {
        let kept = |text: &str| cut(text, MAX_TEXT).to_owned();
        Self {
            face: client.into(),
            version: Some(kept(&client.version)),
            core_version: None,
            ui_version: None,
            model_identifier: client.model_identifier.as_deref().map(kept),
        }
    }
}

impl Surface {
    /// Reads what a node declares when it connects.
    ///
    /// # Errors
    /// It declares more than may be, or names that are too long.
    pub fn declared(params: &ConnectParams) -> Result<Self, ErrorShape> {
        Self::read(
            "connect",
            &params.caps,
            &params.commands,
            &params.permissions,
        )
    }

    /// Reads what is declared in the parameters of a method.
    ///
    /// # Errors
    /// It is more than may be, or has names that are too long.
    pub fn read(
        method: &str,
        caps: &[String],
        commands: &[String],
        permissions: &BTreeMap<String, bool>,
    ) -> Result<Self, ErrorShape> {
        let too_much = |name: &str| {
            ErrorShape::invalid_request(format!(
                "invalid {method} params: at /{name}: must not have more than {MAX_NAMES} items of {MAX_NAME} bytes"
            ))
        };
        for (name, names) in [("caps", caps), ("commands", commands)] {
            if names.len() > MAX_NAMES || names.iter().any(|name| name.len() > MAX_NAME) {
                return Err(too_much(name));
            }
        }
        if permissions.len() > MAX_NAMES || permissions.keys().any(|name| name.len() > MAX_NAME) {
            return Err(too_much("permissions"));
        }
        let names = || caps.iter().chain(commands).chain(permissions.keys());
        if names().any(|name| name.contains(char::is_control)) {
            return Err(ErrorShape::invalid_request(format!(
                "invalid {method} params: caps, commands and permissions must not have control characters"
            )));
        }
        if names().map(String::len).sum::<usize>() > MAX_BYTES {
            return Err(ErrorShape::invalid_request(format!(
                "invalid {method} params: caps, commands and permissions must not have more than {MAX_BYTES} bytes together"
            )));
        }
        Ok(Self {
            caps: each_once(caps),
            commands: each_once(commands),
            permissions: permissions.clone(),
        })
    }

    /// What holds of a declaration where this was approved.
    #[must_use]
    pub fn effective(&self, declared: &Self) -> Self {
        let both = |mine: &[String], theirs: &[String]| {
            let named = theirs.iter().filter(|name| mine.contains(name));
            named.cloned().collect()
        };
        let mut permissions = self.permissions.clone();
        for (name, granted) in &declared.permissions {
            if !granted {
                permissions.insert(name.clone(), false);
            }
        }
        Self {
            caps: both(&self.caps, &declared.caps),
            commands: both(&self.commands, &declared.commands),
            permissions,
        }
    }

    /// What holds of a declaration as long as nothing was approved.
    #[must_use]
    pub fn unapproved(declared: &Self) -> Self {
        let permissions = declared.permissions.iter();
        Self {
            permissions: permissions
                .filter(|(_, granted)| !**granted)
                .map(|(name, granted)| (name.clone(), *granted))
                .collect(),
            ..Self::default()
        }
    }

    /// Whether nothing of `other` goes beyond this.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let holds = |mine: &[String], theirs: &[String]| theirs.iter().all(|n| mine.contains(n));
        let may = |name: &String| self.permissions.get(name) == Some(&true);
        holds(&self.caps, &other.caps)
            && holds(&self.commands, &other.commands)
            && other
                .permissions
                .iter()
                .all(|(name, granted)| !granted || may(name))
    }

    /// Whether two declarations are the same, in whatever order.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        set(&self.caps) == set(&other.caps)
            && set(&self.commands) == set(&other.commands)
            && self.permissions == other.permissions
    }
}

/// Names without the blanks around them, each once, in their order.
fn each_once(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let names = names.iter().map(|name| name.trim());
    names
        .filter(|name| !name.is_empty() && seen.insert(*name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(caps: &[&str], commands: &[&str], permissions: &[(&str, bool)]) -> Surface {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Surface {
            caps: owned(caps),
            commands: owned(commands),
            permissions: permissions
                .iter()
                .map(|(name, granted)| ((*name).to_owned(), *granted))
                .collect(),
        }
    }

    #[test]
    fn less_than_was_approved_is_covered_and_more_is_not() {
        let approved = surface(&["a", "b"], &["x", "y"], &[("p", true), ("q", false)]);
        assert!(approved.covers(&surface(&["b"], &["y", "x"], &[("q", false), ("r", false)])));
        assert!(!approved.covers(&surface(&["c"], &[], &[])));
        assert!(!approved.covers(&surface(&[], &["z"], &[])));
        assert!(!approved.covers(&surface(&[], &[], &[("q", true)])));
        assert!(!approved.covers(&surface(&[], &[], &[("r", true)])));
    }

    #[test]
    fn what_holds_is_what_is_declared_and_approved() {
        let approved = surface(&["a"], &["x", "y"], &[("p", true), ("q", true)]);
        let declared = surface(&["b", "a"], &["z", "y"], &[("p", false), ("r", true)]);
        assert_eq!(
            approved.effective(&declared),
            surface(&["a"], &["y"], &[("p", false), ("q", true)])
        );
        assert_eq!(
            Surface::unapproved(&declared),
            surface(&[], &[], &[("p", false)])
        );
    }

    #[test]
    fn a_name_counts_once_and_without_blanks() {
        let names = [" x ", "x", "", "y"].map(str::to_owned);
        let read = Surface::read("connect", &names, &[], &BTreeMap::new()).unwrap();
        assert_eq!(read.caps, ["x", "y"]);
        assert!(read.is_same(&surface(&["y", "x"], &[], &[])));
    }

    #[test]
    fn too_many_names_and_too_long_ones_are_refused() {
        let many: Vec<String> = (0..=MAX_NAMES).map(|n| n.to_string()).collect();
        let error = Surface::read("connect", &[], &many, &BTreeMap::new()).unwrap_err();
        assert_eq!(
            error.message,
            "invalid connect params: at /commands: must not have more than 256 items of 128 bytes"
        );
        let long = ["x".repeat(MAX_NAME + 1)];
        assert!(Surface::read("connect", &long, &[], &BTreeMap::new()).is_err());
        let large: Vec<String> = (0..100).map(|n| format!("{n:050}")).collect();
        let error = Surface::read("connect", &[], &large, &BTreeMap::new()).unwrap_err();
        assert!(error.message.ends_with("3072 bytes together"), "{error:?}");
        let odd = ["x\u{1b}[2J".to_owned()];
        assert!(Surface::read("connect", &odd, &[], &BTreeMap::new()).is_err());
        let strange = BTreeMap::from([("x".repeat(MAX_NAME + 1), true)]);
        assert!(Surface::read("connect", &[], &[], &strange).is_err());
    }
}
