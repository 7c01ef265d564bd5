//! What scopes open, as lists of their names.

/// Every operator scope that devices may be approved for, and what each opens besides itself.
const KNOWN: [(&str, &[&str]); 10] = [
    ("operator.admin", &[]),
    (
        "operator.write",
        &[
            "operator.read",
            "operator.talk",
            "operator.sessions.read",
            "operator.sessions.write",
        ],
    ),
    ("operator.read", &["operator.sessions.read"]),
    ("operator.sessions.read", &[]),
    ("operator.sessions.write", &["operator.sessions.read"]),
    ("operator.approvals", &[]),
    ("operator.questions", &[]),
    ("operator.pairing", &[]),
    ("operator.talk", &[]),
    ("operator.talk.secrets", &[]),
];
const ADMIN: &str = "operator.admin";

/// Returns the first of `wanted` that `held` neither holds nor implies.
#[must_use]
pub fn missing<'a, T: AsRef<str>>(held: &[T], wanted: &'a [String]) -> Option<&'a str> {
    let opens = |held: &str, wanted: &str| {
        held == wanted
            || held == ADMIN && !is_unknown(wanted)
            || KNOWN
                .iter()
                .any(|(name, implied)| *name == held && implied.contains(&wanted))
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
    KNOWN.iter().all(|(known, _)| *known != name)
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
    let has = |name: &str| names.iter().any(|own| own == name);
    if has(ADMIN) || has("operator.write") {
        all.push("operator.read".to_owned());
    }
    if has(ADMIN) {
        all.push("operator.write".to_owned());
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
