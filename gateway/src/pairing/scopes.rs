//! What scopes open, as lists of their names.

use openclaw_protocol_core::scope::Scope;

/// Returns the first of `wanted` that `held` neither holds nor implies.
#[must_use]
pub fn missing<'a, T: AsRef<str>>(held: &[T], wanted: &'a [String]) -> Option<&'a str> {
    let opens = |held: &str, wanted: &str| {
        let known = Scope::from_name(held).zip(Scope::from_name(wanted));
        held == wanted || known.is_some_and(|(held, wanted)| held.implies(wanted))
    };
    wanted
        .iter()
        .map(String::as_str)
        .find(|wanted| !held.iter().any(|held| opens(held.as_ref(), wanted)))
}

/// Returns the first of `wanted` that no device may be approved for.
#[must_use]
pub fn unknown(wanted: &[String]) -> Option<&str> {
    wanted
        .iter()
        .map(String::as_str)
        .find(|name| is_unknown(name))
}

fn is_unknown(name: &str) -> bool {
    Scope::from_name(name).is_none()
}

/// Returns names in their order, each once.
#[must_use]
pub fn union<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

/// Returns what a token says that it opens: sorted, with the plain scopes that greater ones imply.
#[must_use]
pub fn expanded(names: &[String]) -> Vec<String> {
    let mut all = names.to_vec();
    let opens = |scope: Scope| {
        let mut known = names.iter().filter_map(|name| Scope::from_name(name));
        known.any(|own| own != scope && own.implies(scope))
    };
    for scope in [Scope::Read, Scope::Write] {
        if opens(scope) {
            all.push(scope.as_str().to_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_implied_is_not_missing() {
        let held = names(&["operator.write", "operator.pairing"]);
        assert_eq!(
            missing(&held, &names(&["operator.read", "operator.talk"])),
            None
        );
        assert_eq!(
            missing(&held, &names(&["operator.read", "operator.admin"])),
            Some("operator.admin")
        );
        let admin = names(&["operator.admin"]);
        assert_eq!(missing(&admin, &names(&["operator.approvals"])), None);
        assert_eq!(missing(&admin, &names(&["x"])), Some("x"));
        assert_eq!(missing(&names(&["x"]), &names(&["x"])), None);
        assert_eq!(missing(&[] as &[&str], &[]), None);
    }

    #[test]
    fn a_name_that_is_not_known_implies_nothing_and_is_told() {
        let held = names(&["operator.everything"]);
        assert_eq!(
            missing(&held, &names(&["operator.read"])),
            Some("operator.read")
        );
        assert_eq!(unknown(&names(&["operator.read", "x"])), Some("x"));
        assert_eq!(unknown(&names(&["operator.read"])), None);
    }

    #[test]
    fn a_token_says_what_greater_scopes_imply() {
        assert_eq!(
            expanded(&names(&["operator.write", "operator.pairing"])),
            ["operator.pairing", "operator.read", "operator.write"]
        );
        assert_eq!(
            expanded(&names(&["operator.admin"])),
            ["operator.admin", "operator.read", "operator.write"]
        );
        assert!(expanded(&[]).is_empty());
    }
}
