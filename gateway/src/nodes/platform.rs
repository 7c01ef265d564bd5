//! Which kind of machine a node is, from what it says of itself.

/// The kinds of machines that have commands of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// iPhones and iPads.
    Ios,
    /// Apple watches.
    WatchOs,
    /// Android devices.
    Android,
    /// Macs.
    MacOs,
    /// Linux hosts.
    Linux,
    /// Windows hosts.
    Windows,
    /// Anything else, and whoever contradicts themselves.
    Unknown,
}

impl Platform {
    const NAMED: [Self; 6] = [
        Self::Ios,
        Self::WatchOs,
        Self::Android,
        Self::MacOs,
        Self::Linux,
        Self::Windows,
    ];

    /// Reads the platform and the family of a device as it tells them.
    ///
    /// The two must fit each other: a node that says that it is Linux on an iPhone is none of both.
    #[must_use]
    pub fn of(platform: &str, family: Option<&str>) -> Self {
        let platform = platform.trim().to_lowercase();
        let family = family.unwrap_or_default().trim().to_lowercase();
        if platform.is_empty() {
            return Self::of_family(&family);
        }
        let (word, rest) = match platform.split_once(' ') {
            Some((word, rest)) => (word, Some(rest)),
            None => (&*platform, None),
        };
        let named = match word {
            "ipados" if rest.is_some() => Some(Self::Ios),
            "darwin" => Some(Self::MacOs),
            "win32" => Some(Self::Windows),
            word => Self::NAMED
                .into_iter()
                .find(|platform| platform.as_str() == word),
        };
        match (named, rest) {
            (Some(named), None) if named.fits(&family) => named,
            (Some(named), Some(version)) if named.has_versions() && is_version(version) => {
                match named.fits(&family) && !family.is_empty() {
                    true => named,
                    false => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::WatchOs => "watchos",
            Self::Android => "android",
            Self::MacOs => "macos",
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::Unknown => "unknown",
        }
    }

    const fn families(self) -> &'static [&'static str] {
        match self {
            Self::Ios => &["", "iphone", "ipad", "ios"],
            Self::WatchOs => &["", "apple watch", "watchos"],
            Self::Android => &["", "android"],
            Self::MacOs => &["", "mac"],
            Self::Linux => &["", "linux"],
            Self::Windows => &["", "windows"],
            Self::Unknown => &[],
        }
    }

    fn fits(self, family: &str) -> bool {
        self.families().contains(&family)
    }

    /// Whether its devices tell the version of their system as well.
    const fn has_versions(self) -> bool {
        match self {
            Self::Ios | Self::WatchOs | Self::Android | Self::MacOs => true,
            Self::Linux | Self::Windows | Self::Unknown => false,
        }
    }

    fn of_family(family: &str) -> Self {
        let named = Self::NAMED.into_iter().find(|platform| {
            let families = platform.families().iter();
            families
                .filter(|known| !known.is_empty())
                .any(|known| family.contains(known))
        });
        named.unwrap_or(Self::Unknown)
    }
}

/// Whether a text is a version: `17`, `17.4.1`, or `14 (sdk 34)`.
fn is_version(text: &str) -> bool {
    let number = text.split(" (sdk ").next().unwrap_or_default();
    let parts = number.split('.');
    parts
        .clone()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        && parts.count() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_known_by_its_name_and_its_version() {
        for (platform, family, known) in [
            ("linux", Some("Linux"), Platform::Linux),
            ("Linux ", None, Platform::Linux),
            ("darwin", Some("Mac"), Platform::MacOs),
            ("win32", Some("Windows"), Platform::Windows),
            ("macos 15.1", Some("Mac"), Platform::MacOs),
            ("iOS 18.0.1", Some("iPhone"), Platform::Ios),
            ("iPadOS 18.0", Some("iPad"), Platform::Ios),
            ("android 14 (sdk 34)", Some("Android"), Platform::Android),
            ("watchOS 11", Some("Apple Watch"), Platform::WatchOs),
            ("", Some("iPhone15,2"), Platform::Ios),
            ("", Some("Android Tablet"), Platform::Android),
        ] {
            assert_eq!(
                Platform::of(platform, family),
                known,
                "{platform} {family:?}"
            );
        }
    }

    #[test]
    fn who_contradicts_themselves_is_of_no_known_kind() {
        for (platform, family) in [
            ("linux", Some("iPhone")),
            ("ios", Some("Mac")),
            ("ios 18.0", None),
            ("ios eighteen", Some("iPhone")),
            ("ios 1.2.3.4", Some("iPhone")),
            ("linux 6.1", Some("Linux")),
            ("plan9", None),
            ("", None),
            ("", Some("toaster")),
        ] {
            assert_eq!(
                Platform::of(platform, family),
                Platform::Unknown,
                "{platform} {family:?}"
            );
        }
    }
}
