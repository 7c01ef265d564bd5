use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const NOW: Duration = Duration::from_secs(7);

fn remote(number: u32) -> Subject {
    Subject::Remote(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

fn local() -> Subject {
    Subject::Local(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn peer(address: IpAddr, direct_loopback: bool, origin: Option<&str>) -> Peer {
    Peer {
        address,
        direct_loopback,
        origin: origin.map(Into::into),
        claims: None,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn waits(throttle: &mut Throttle, subject: &Subject, count: usize) -> Vec<u128> {
    (0..count)
        .map(|_| throttle.failed(subject.clone(), NOW).as_millis())
        .collect()
}

fn throttle() -> Throttle {
    Throttle::new(RateLimit::default())
}

#[test]
fn the_wait_doubles_from_a_quarter_second_to_five_seconds() {
    for subject in [local(), remote(1), Subject::Pages] {
        assert_eq!(
            waits(&mut throttle(), &subject, 12),
            [
                250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000, 5000, 5000, 5000
            ]
        );
    }
}

#[test]
fn a_success_resets_the_wait_of_its_own_subject_only() {
    let mut throttle = throttle();
    waits(&mut throttle, &remote(1), 3);
    waits(&mut throttle, &remote(2), 3);
    throttle.succeeded(&remote(1));
    assert_eq!(waits(&mut throttle, &remote(1), 1), [250]);
    assert_eq!(waits(&mut throttle, &remote(2), 1), [2000]);
}

#[test]
fn ten_wrong_secrets_in_a_minute_lock_out_for_five_minutes() {
    let mut throttle = throttle();
    for number in 0..9 {
        throttle.failed(remote(1), seconds(number * 6));
        assert_eq!(throttle.lockout(&remote(1), seconds(number * 6)), None);
    }
    throttle.failed(remote(1), seconds(59));
    assert_eq!(
        throttle.lockout(&remote(1), seconds(59)),
        Some(seconds(300))
    );
    assert_eq!(throttle.lockout(&remote(1), seconds(358)), Some(seconds(1)));
    assert_eq!(throttle.lockout(&remote(1), seconds(359)), None);
    assert_eq!(throttle.lockout(&remote(2), seconds(59)), None);
}

#[test]
fn failures_that_are_a_window_old_do_not_count() {
    let mut throttle = throttle();
    for number in 0..200 {
        let now = seconds(number * 7);
        throttle.failed(remote(1), now);
        assert_eq!(throttle.lockout(&remote(1), now), None, "{number}");
    }
    let kept = throttle.failures[&remote(1)].recent.len();
    assert!(kept < 10, "{kept} are remembered");
}

#[test]
fn after_a_lockout_they_are_counted_anew() {
    let mut throttle = throttle();
    waits(&mut throttle, &remote(1), 10);
    let after = NOW + seconds(300);
    for _ in 0..9 {
        throttle.failed(remote(1), after);
        assert_eq!(throttle.lockout(&remote(1), after), None);
    }
    throttle.failed(remote(1), after);
    assert_eq!(throttle.lockout(&remote(1), after), Some(seconds(300)));
}

#[test]
fn a_lockout_is_not_made_longer_from_within() {
    let mut throttle = throttle();
    waits(&mut throttle, &remote(1), 10);
    for _ in 0..50 {
        throttle.failed(remote(1), NOW + seconds(100));
    }
    assert_eq!(
        throttle.lockout(&remote(1), NOW + seconds(100)),
        Some(seconds(200))
    );
}

#[test]
fn programs_on_this_host_are_slowed_and_never_locked_out_unless_configured() {
    let mut throttle = throttle();
    waits(&mut throttle, &local(), 1000);
    assert_eq!(throttle.lockout(&local(), NOW), None);
    let mut strict = Throttle::new(RateLimit {
        exempt_loopback: false,
        ..RateLimit::default()
    });
    waits(&mut strict, &local(), 10);
    assert_eq!(strict.lockout(&local(), NOW), Some(seconds(300)));
}

#[test]
fn pages_on_this_host_have_a_lockout_of_their_own() {
    let mut throttle = throttle();
    waits(&mut throttle, &Subject::Pages, 10);
    assert!(throttle.lockout(&Subject::Pages, NOW).is_some());
    assert_eq!(throttle.lockout(&local(), NOW), None);
}

#[test]
fn who_is_told_by_where_the_connection_comes_from() {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let origin = Some("http://localhost:18789");
    for (peer, expected) in [
        (peer(loopback, true, None), Subject::Local(loopback)),
        (peer(loopback, false, None), Subject::Remote(loopback)),
        (peer(loopback, true, origin), Subject::Pages),
        (peer(loopback, false, origin), Subject::Pages),
        (peer(loopback, true, Some("null")), Subject::Pages),
        (peer(elsewhere, false, None), Subject::Remote(elsewhere)),
        (peer(elsewhere, false, origin), Subject::Remote(elsewhere)),
    ] {
        assert_eq!(Subject::of(&peer), expected, "{peer:?}");
    }
    let mapped: Ipv6Addr = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped();
    assert_eq!(
        Subject::of(&peer(mapped.into(), false, None)),
        Subject::Remote(elsewhere),
        "the same address over IPv6"
    );
    let of = |text: &str| {
        let address: Ipv6Addr = text.parse().expect("an address");
        Subject::of(&peer(address.into(), false, None))
    };
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
}

#[test]
fn the_subject_that_failed_longest_ago_is_forgotten_first() {
    let mut throttle = throttle();
    let limit = u32::try_from(SUBJECT_LIMIT).expect("small");
    for number in 0..limit {
        throttle.failed(remote(number), NOW);
    }
    throttle.failed(remote(0), NOW);
    throttle.failed(remote(limit), NOW);
    assert_eq!(throttle.len(), SUBJECT_LIMIT);
    assert_eq!(
        waits(&mut throttle, &remote(0), 1),
        [1000],
        "its second failure was recent"
    );
    assert_eq!(
        waits(&mut throttle, &remote(1), 1),
        [250],
        "it was the oldest"
    );
}

#[test]
fn a_flood_of_addresses_does_not_end_a_lockout() {
    let mut throttle = throttle();
    waits(&mut throttle, &remote(0), 10);
    for number in 1..=3 * u32::try_from(SUBJECT_LIMIT).expect("small") {
        throttle.failed(remote(number), NOW + seconds(200));
    }
    assert_eq!(throttle.len(), SUBJECT_LIMIT);
    assert!(throttle.lockout(&remote(0), NOW + seconds(200)).is_some());
}

#[test]
fn nothing_is_remembered_of_a_subject_after_a_success() {
    let mut throttle = throttle();
    for round in 0..3 * SUBJECT_LIMIT {
        throttle.failed(remote(1), seconds(round as u64));
        throttle.succeeded(&remote(1));
    }
    assert!(throttle.is_empty());
    assert!(throttle.by_age.is_empty());
}
