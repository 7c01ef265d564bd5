//! A reader of requests that gives up at whatever two readers may understand in two ways.

/// A request as plain as can be.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
}

/// The requests that stand at the beginning of `bytes`, up to the first that is not plain.
pub(super) fn requests(mut bytes: &[u8], longest: usize) -> Vec<Plain<'_>> {
    let mut all = Vec::new();
    while let Some((request, rest)) = request(bytes, longest) {
        all.push(request);
        bytes = rest;
    }
    all
}

fn request(bytes: &[u8], longest: usize) -> Option<(Plain<'_>, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let version = words.next() == Some("HTTP/1.1") && words.next().is_none();
    let known = matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE");
    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !version || !known || !path.strip_prefix('/').is_some_and(word) {
        return None;
    }
    let (mut hosts, mut length) = (0, None);
    for line in lines {
        match line.split_once(": ")? {
            ("Host", host) if !host.is_empty() && word(host) => hosts += 1,
            ("Content-Length", digits) if length.is_none() && digits.len() < 6 => {
                let number = digits.bytes().all(|byte| byte.is_ascii_digit());
                length = Some(digits.parse().ok().filter(|_| number)?);
            }
            ("Accept", value) if word(value) => {}
            _ => return None,
        }
    }
    let length: usize = length.unwrap_or(0);
    if hosts != 1 || length > longest {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Plain { method, path, body }, rest))
}
