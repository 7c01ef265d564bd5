//! The section `gateway.nodes`.

use jsonc_parser::ast::{Object, Value};

use super::read::{Result, members, object, texts, unknown};
use crate::nodes::policy::Policy;

const EXPECTATION: &str = r#"must be a list of commands such as "camera.snap""#;

/// Reads the section `gateway.nodes`. The lists have other names in files of protocol 3, which still count.
pub(super) fn nodes(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<Policy> {
    let mut policy = Policy::default();
    for (name, value) in members(section) {
        match name {
            "commands" => {
                let section = object("gateway.nodes.commands", value)?;
                for (name, value) in members(section) {
                    match name {
                        "allow" => policy
                            .allow
                            .extend(commands("gateway.nodes.commands.allow", value)?),
                        "deny" => policy
                            .deny
                            .extend(commands("gateway.nodes.commands.deny", value)?),
                        _ => unknown(strangers, "gateway.nodes.commands.", name),
                    }
                }
            }
            "allowCommands" => policy
                .allow
                .extend(commands("gateway.nodes.allowCommands", value)?),
            "denyCommands" => policy
                .deny
                .extend(commands("gateway.nodes.denyCommands", value)?),
            _ => unknown(strangers, "gateway.nodes.", name),
        }
    }
    Ok(policy)
}

fn commands(key: &'static str, value: &Value<'_>) -> Result<Vec<String>> {
    texts(key, value, EXPECTATION, |name| {
        let name = name.trim();
        (!name.is_empty()).then(|| name.to_owned())
    })
}
