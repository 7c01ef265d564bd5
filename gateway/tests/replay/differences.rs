//! Where what two gateways say differs.

pub(crate) const NOTHING: &str = "nothing";

/// Where two lists differ: what one has, what the other has in its place, or nothing.
pub(crate) fn differences(one: &[String], other: &[String]) -> Vec<(String, String)> {
    let mut common = vec![vec![0_usize; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            common[i][j] = if one[i] == other[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut gone, mut new, mut all) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let same = i < one.len() && j < other.len() && one[i] == other[j];
        if same || (i == one.len() && j == other.len()) {
            pair_up(&mut gone, &mut new, &mut all);
            if !same {
                return all;
            }
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || (i < one.len() && common[i + 1][j] >= common[i][j + 1]) {
            gone.push(one[i].clone());
            i += 1;
        } else {
            new.push(other[j].clone());
            j += 1;
        }
    }
}

fn pair_up(gone: &mut Vec<String>, new: &mut Vec<String>, all: &mut Vec<(String, String)>) {
    // Like goes with like: an answer with that to the same request, or the only one with the only
    // one; a close with a close.
    let words = |line: &str, count| line.split(' ').take(count).collect::<Vec<_>>().join(" ");
    let alone = gone.len() == 1 && new.len() == 1;
    for line in gone.drain(..) {
        let one_suffices = line.starts_with("close ") || (alone && line.starts_with("res "));
        let count = if one_suffices { 1 } else { 2 };
        let like = new
            .iter()
            .position(|other| words(other, count) == words(&line, count));
        let instead = like.map_or_else(|| NOTHING.to_owned(), |index| new.remove(index));
        all.push((line, instead));
    }
    all.extend(new.drain(..).map(|line| (NOTHING.to_owned(), line)));
}

#[test]
pub(crate) fn differences_are_told_line_by_line() {
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let pairs = |one, other| differences(&list(one), &list(other));
    assert_eq!(pairs("a,b,c", "a,b,c"), []);
    let same = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(
        pairs("a,close 1 x,c", "a,close 2 y,c"),
        [same("close 1 x", "close 2 y")]
    );
    assert_eq!(pairs("a,b,c", "a,c"), [same("b", NOTHING)]);
    assert_eq!(pairs("a,c", "a,b,c"), [same(NOTHING, "b")]);
}
