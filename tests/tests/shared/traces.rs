//! Traces of what must not show: whether any eight bytes in a row of a secret stand somewhere, as they are or as a program
//! would write them down.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that are no accident: among a gigabyte of others, eight given ones in a row come up once in 2^34 times.
const STRIDE: usize = 8;
/// As many digits as are wholly made of eight bytes, wherever the first of them begins; and as many units of UTF-16.
const IN_HEX: usize = 16;
const IN_BASE32: usize = 12;
const IN_BASE64: usize = 10;
const IN_UTF16: usize = 16;
const HEX_LOWER: &[u8] = b"0123456789abcdef";
const HEX_UPPER: &[u8] = b"0123456789ABCDEF";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE32_LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Something that must not show.
#[derive(Clone)]
pub(crate) struct Canary {
    /// What it is, for whoever reads that it showed.
    pub(crate) what: String,
    /// The thing itself.
    pub(crate) bytes: Vec<u8>,
}

impl Canary {
    /// One of at least eight bytes.
    pub(crate) fn new(what: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let (what, bytes) = (what.to_owned(), bytes.into());
        assert!(bytes.len() >= STRIDE, "too short to be told from chance: {what}");
        Self { what, bytes }
    }
}

/// Where a trace was found: of what, and how it was written.
pub(crate) type Found = BTreeSet<(String, &'static str)>;

/// A secret as it would be written.
struct Form {
    canary: usize,
    name: &'static str,
    /// How many bytes of it in a row are a trace.
    trace: usize,
    bytes: Vec<u8>,
}

/// What to look for.
pub(crate) struct Traces {
    canaries: Vec<String>,
    forms: Vec<Form>,
    /// Where in which form a trace begins so.
    windows: HashMap<[u8; STRIDE], (usize, usize)>,
    /// By the first two bytes, so that most places are passed over at once.
    begins: Vec<bool>,
}

impl Traces {
    /// Of these, in every form.
    pub(crate) fn of(canaries: &[Canary]) -> Self {
        let what = canaries.iter().map(|canary| canary.what.clone()).collect();
        let forms = canaries.iter().enumerate().flat_map(|(index, canary)| forms(index, &canary.bytes)).collect();
        let mut traces = Self { canaries: what, forms, windows: HashMap::new(), begins: vec![false; 1 << 16] };
        for (index, form) in traces.forms.iter().enumerate() {
            for (at, trace) in form.bytes.windows(form.trace).enumerate() {
                let window = trace.first_chunk().expect("a trace has eight bytes at least");
                traces.begins[begin(window)] = true;
                traces.windows.entry(*window).or_insert((index, at));
            }
        }
        traces
    }

    /// What shows in these bytes.
    pub(crate) fn within(&self, bytes: &[u8]) -> Found {
        let mut found: Found = self.plainly(bytes).map(|(what, form)| (what.to_owned(), form)).collect();
        for list in lists(bytes) {
            found.extend(self.plainly(&list).map(|(what, _)| (what.to_owned(), "list of numbers")));
        }
        found
    }

    fn plainly<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, &'static str)> {
        let windows = bytes.windows(STRIDE).filter_map(<[u8]>::first_chunk).enumerate();
        let likely = windows.filter(|(_, window)| self.begins[begin(window)]);
        likely.filter_map(|(place, window)| {
            let (form, at) = self.windows.get(window)?;
            let form = &self.forms[*form];
            let trace = &form.bytes[*at..at + form.trace];
            bytes[place..].starts_with(trace).then(|| (self.canaries[form.canary].as_str(), form.name))
        })
    }

    /// What shows in the files under a folder, and in the names of all that is there.
    pub(crate) fn under(&self, folder: &Path) -> Found {
        let mut found = Found::new();
        for path in tree(folder) {
            let name = path.strip_prefix(folder).expect("it is in there");
            found.extend(self.within(name.as_os_str().as_encoded_bytes()));
            if fs::symlink_metadata(&path).expect("it is there").is_file() {
                found.extend(self.within(&fs::read(&path).expect("reads")));
            }
        }
        found
    }
}

/// Everything under a folder.
pub(crate) fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if fs::symlink_metadata(&path).expect("it is there").is_dir() {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found
}

fn begin(window: &[u8; STRIDE]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}

/// How a program would write bytes down. What is written digit by digit may begin in the middle of something longer, and
/// so in the middle of a digit.
fn forms(canary: usize, bytes: &[u8]) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut add = |name, trace, bytes| forms.push(Form { canary, name, trace, bytes });
    add("raw", STRIDE, bytes.to_vec());
    add("reversed", STRIDE, bytes.iter().rev().copied().collect());
    add("escaped", STRIDE, bytes.escape_ascii().collect());
    for (name, trace, alphabet, step) in [
        ("hex", IN_HEX, HEX_LOWER, 4),
        ("hex", IN_HEX, HEX_UPPER, 4),
        ("base32", IN_BASE32, BASE32, 1),
        ("base32", IN_BASE32, BASE32_LOWER, 1),
        ("base64", IN_BASE64, BASE64, 2),
        ("base64", IN_BASE64, BASE64_URL, 2),
    ] {
        for skipped in (0..width(alphabet)).step_by(step) {
            add(name, trace, digits(bytes, alphabet, skipped));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        add("hex of UTF-16", 2 * IN_UTF16, digits(&little, HEX_LOWER, 0));
        add("UTF-16", IN_UTF16, little);
        add("UTF-16", IN_UTF16, text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    forms
}

/// Bits of a digit.
fn width(alphabet: &[u8]) -> usize {
    alphabet.len().ilog2() as usize
}

/// Bytes that are written as lists of decimal numbers, as Rust shows them.
fn lists(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut lists, mut list, mut number) = (Vec::new(), Vec::new(), None);
    for byte in text.iter().copied().chain([b']']) {
        if byte.is_ascii_digit() {
            number = Some(number.unwrap_or(0_u32).saturating_mul(10).saturating_add(u32::from(byte - b'0')));
            continue;
        }
        let ended = number.take();
        list.extend(ended.and_then(|number| u8::try_from(number).ok()));
        if ![b',', b' ', b'\n'].contains(&byte) {
            lists.extend(Some(std::mem::take(&mut list)).filter(|list| list.len() >= STRIDE));
        }
    }
    lists
}

/// The digits that are wholly made of these bytes, without the first `skipped` bits.
fn digits(bytes: &[u8], alphabet: &[u8], skipped: usize) -> Vec<u8> {
    let width = width(alphabet);
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let count = (8 * bytes.len()).saturating_sub(skipped) / width;
    (0..count)
        .map(|digit| {
            let from = skipped + digit * width;
            alphabet[(from..from + width).fold(0, |value, at| value << 1 | bit(at))]
        })
        .collect()
}

mod tests {
    use super::*;

    const SECRET: &[u8] = b"\x00quagga\xff\xfe-of-the-north\n";

    fn shown(bytes: &[u8]) -> Vec<&'static str> {
        let traces = Traces::of(&[Canary::new("a word", "Zyx-quorra bl\u{fc}ht"), Canary::new("a key", SECRET)]);
        traces.within(bytes).into_iter().map(|(_, form)| form).collect()
    }

    #[test]
    fn every_way_to_write_a_secret_down_is_seen() {
        for (written, form) in [
            (&b"...quagga\xff\xfe-..."[..], "raw"),
            (b"006e6f2d65687423717561676761fffe2d6f66", "hex"),
            (b"71:7561676761FFFE2D6F66", "hex"),
            (b"AHF1YWdnYf/+LW9mLXRoZS1ub3J0aAo=", "base64"),
            (b"xABxdWFnZ2H//i1vZi10aGUtbm9ydGgK", "base64"),
            (b"xxAAcXVhZ2dh__4tb2YtdGhlLW5vcnRoCg", "base64"),
            (b"ABYXKYLHM5Q777RNN5TC25DIMUWW433SORUAU", "base32"),
            (b"abyxkylhm5q777rnn5tc25dimuww433sorua", "base32"),
            (b"Zyx-quor", "raw"),
            (b"q\0u\0o\0r\0r\0a\0 \0b\0", "UTF-16"),
            (b"\0r\0r\0a\0 \0b\0l\0\xfc\0h", "UTF-16"),
            (b"710075006f00720072006100200062006c00", "hex of UTF-16"),
            (br"gga\xff\xfe-of", "escaped"),
            (b"Key { bytes: [0, 113, 117, 97, 103,103, 97, 255,\n 254, 45] }", "list of numbers"),
            (b"htron-eht-fo", "reversed"),
        ] {
            assert_eq!(shown(written), [form], "{}", String::from_utf8_lossy(written));
        }
        for clean in [&b""[..], b"Zyx-quo", b"quagga of the north, a word", &[0; 4_096]] {
            assert_eq!(shown(clean), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_file_and_a_name_below_a_folder_are_looked_at() {
        let place = tempfile::tempdir().expect("a folder");
        let traces = Traces::of(&[Canary::new("a key", SECRET)]);
        fs::create_dir(place.path().join("below")).expect("made");
        fs::write(place.path().join("below/file"), b"nothing").expect("written");
        assert_eq!(traces.under(place.path()), Found::new());
        fs::write(place.path().join("below/file"), [b"x", SECRET].concat()).expect("written");
        assert_eq!(traces.under(place.path()), Found::from([("a key".to_owned(), "raw")]));
        fs::remove_file(place.path().join("below/file")).expect("removed");
        fs::write(place.path().join("below/71756167"), b"").expect("written");
        assert_eq!(traces.under(place.path()), Found::new(), "four bytes are no trace");
        fs::write(place.path().join("below/717561676761fffe"), b"").expect("written");
        assert_eq!(traces.under(place.path()), Found::from([("a key".to_owned(), "hex")]));
    }
}
