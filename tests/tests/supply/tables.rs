//! What is known of the crates below us, each line with its reason.

use crate::version::Version;

/// No release of the crate is past the fault.
const NONE: Version = Version(u64::MAX, 0, 0);

/// A crate, the first version past every fault known of it, and the fault that an attacker would use.
pub(crate) const FIXED_IN: [(&str, Version, &str); 30] = [
    ("hickory-proto", Version(0, 26, 1), "RUSTSEC-2026-0118, -0119: endless loop, quadratic work"),
    ("hpke-rs", Version(0, 6, 0), "RUSTSEC-2026-0069 to -0071: the nonce counter wraps; panics"),
    (
        "libcrux-aesgcm",
        NONE,
        "RUSTSEC-2026-0209, -0211: the tag check takes telling time; fixed only under another name",
    ),
    ("libcrux-chacha20poly1305", Version(0, 0, 8), "RUSTSEC-2026-0124: panic on an overlong ciphertext"),
    ("libcrux-ecdh", Version(0, 0, 6), "RUSTSEC-2026-0023: a malformed secret passes"),
    ("libcrux-ml-kem", Version(0, 0, 10), "the first that brings the fixed libcrux-sha3 and libcrux-secrets"),
    ("libcrux-poly1305", Version(0, 0, 5), "RUSTSEC-2026-0073: panic"),
    ("libcrux-secrets", Version(0, 0, 6), "RUSTSEC-2026-0212: constant-time selection is wrong on aarch64"),
    ("libcrux-sha3", Version(0, 0, 10), "RUSTSEC-2026-0074, -0207, -0208: wrong output, panic"),
    ("libp2p", Version(0, 57, 1), "the first that brings the gossip fixes below; RUSTSEC-2022-0084 before it"),
    ("libp2p-core", Version(0, 30, 2), "RUSTSEC-2022-0009: a signed peer record with a foreign peer id"),
    ("libp2p-gossipsub", Version(0, 50, 1), "GHSA-gc42-3jg7-rxr2, -xqmp-fxgv-xvq5, -g3g5-x568-qvqx, -vrx6-jcp8-vm7m"),
    ("libp2p-quic", Version(0, 14, 0), "GHSA-5hq8-qhww-jm7q: a bad certificate panics"),
    ("libp2p-rendezvous", Version(0, 18, 0), "GHSA-cqfx-gf56-8x59, -v5hw-cv9c-rpg7: memory without end"),
    ("lru", Version(0, 18, 2), "RUSTSEC-2026-0002, -0253: unsound"),
    ("openmls", Version(0, 9, 2), "GHSA-8x3w-qj7j-gqhf, -rrmv-c79f-cf5r; a remote stack overflow before 0.9.2"),
    ("pgp", Version(0, 14, 2), "RUSTSEC-2024-0447: panics on malformed input"),
    ("quinn-proto", Version(0, 11, 15), "RUSTSEC-2023-0063 to 2026-0185: panics, fragments fill memory"),
    ("rustls-webpki", Version(0, 103, 13), "RUSTSEC-2026-0049, -0098, -0099, -0104: revocation and name checks"),
    ("snow", Version(0, 9, 5), "RUSTSEC-2024-0011: garbage moves the nonce, the session is dead"),
    ("yamux", Version(0, 13, 10), "CVE-2026-32314, -31814: one frame panics"),
    // Older faults of crates in the tree; a resolver that reaches below these has gone wrong altogether.
    ("bytes", Version(1, 11, 1), "an integer overflow in reserve"),
    ("crossbeam-channel", Version(0, 5, 15), "RUSTSEC-2025-0024: double free on drop"),
    ("curve25519-dalek", Version(4, 1, 3), "RUSTSEC-2024-0344: timing of scalar subtraction"),
    ("ed25519-dalek", Version(2, 0, 0), "RUSTSEC-2022-0093: signing with a foreign public key"),
    ("idna", Version(1, 0, 0), "RUSTSEC-2024-0421: labels that are not what they show"),
    ("ring", Version(0, 17, 12), "RUSTSEC-2025-0009: panic"),
    ("rustls", Version(0, 23, 18), "RUSTSEC-2024-0399: panic in the acceptor"),
    ("tokio", Version(1, 44, 2), "RUSTSEC-2025-0023: unsound broadcast channel"),
    ("tracing-subscriber", Version(0, 3, 20), "RUSTSEC-2025-0055: terminal escapes in logs"),
];

/// Crates that are held at one version, and why.
pub(crate) const PINNED: [(&str, &str, &str); 5] = [
    ("libp2p-stream", "0.5.0-alpha", "an alpha: any other release may differ in anything"),
    ("openmls", "0.9.2", "a skew inside the family gives opaque trait errors"),
    ("openmls_rust_crypto", "0.6.0", "of the openmls family"),
    ("openmls_traits", "0.6.0", "of the openmls family"),
    ("sled", "0.34.7", "the format on disk, and the behaviour at a crash that we measured"),
];

/// Crates whose code guards secrets. More than one version of one is accepted only as listed here.
pub(crate) const GUARDING: [&str; 30] = [
    "aead",
    "aes",
    "aes-gcm",
    "argon2",
    "blake2",
    "blake3",
    "chacha20",
    "chacha20poly1305",
    "curve25519-dalek",
    "digest",
    "ecdsa",
    "ed25519",
    "ed25519-dalek",
    "getrandom",
    "hkdf",
    "hmac",
    "hpke-rs",
    "libp2p-noise",
    "openmls",
    "poly1305",
    "rand",
    "rand_chacha",
    "rand_core",
    "ring",
    "sha2",
    "signature",
    "snow",
    "subtle",
    "x25519-dalek",
    "zeroize",
];

/// Several versions of one guarding crate, as they are, and who needs the second.
pub(crate) const TWICE: [(&str, &[&str], &str); 13] = [
    ("chacha20", &["0.10", "0.9"], "0.10 draws random numbers for rand 0.10; sealing uses 0.9"),
    ("curve25519-dalek", &["4.1", "5.0"], "libp2p signs with 5; OpenMLS's provider and we with 4"),
    ("digest", &["0.10", "0.11"], "as sha2"),
    ("ed25519", &["2.2", "3.0"], "as curve25519-dalek"),
    ("ed25519-dalek", &["2.2", "3.0"], "as curve25519-dalek"),
    ("getrandom", &["0.2", "0.3", "0.4"], "all three ask the same system call"),
    ("hkdf", &["0.12", "0.13"], "0.12 only inside the NIST curves of OpenMLS's provider, which no suite of ours uses"),
    ("hmac", &["0.12", "0.13"], "as hkdf"),
    ("rand_chacha", &["0.10", "0.3", "0.9"], "OpenMLS's provider 0.3, hpke-rs 0.10, we 0.9"),
    ("rand_core", &["0.10", "0.6", "0.9"], "traits only, one for each generation of the family"),
    ("sha2", &["0.10", "0.11"], "OpenMLS's provider and libp2p use 0.11; the signatures of generation 2 use 0.10"),
    ("signature", &["2.2", "3.0"], "traits only, as curve25519-dalek"),
    ("x25519-dalek", &["2.0", "3.0"], "as curve25519-dalek"),
];

/// Licences that we accept, and why each is no burden on who uses the program.
pub(crate) const LICENCES: [(&str, &str); 12] = [
    ("0BSD", "asks for nothing"),
    ("Apache-2.0", "our own"),
    ("Apache-2.0 WITH LLVM-exception", "less than Apache-2.0 asks"),
    ("BSD-2-Clause", "asks for the notice"),
    ("BSD-3-Clause", "asks for the notice"),
    ("BlueOak-1.0.0", "asks for the text of the licence (minicbor)"),
    ("CC0-1.0", "asks for nothing"),
    ("ISC", "asks for the notice"),
    ("MIT", "our own"),
    ("MPL-2.0", "changes to its own files stay open; we change none (hpke-rs, option-ext)"),
    ("Unicode-3.0", "asks for the notice"),
    ("Zlib", "asks for nothing in binaries"),
];

/// Crates that nobody maintains, as the advisory database lists them (those that trees like ours meet).
pub(crate) const UNMAINTAINED: [&str; 26] = [
    "adler",
    "ansi_term",
    "async-std",
    "atty",
    "backoff",
    "bincode",
    "derivative",
    "failure",
    "fxhash",
    "instant",
    "json",
    "mach",
    "net2",
    "number_prefix",
    "paste",
    "proc-macro-error",
    "proc-macro-error2",
    "rustls-pemfile",
    "safemem",
    "serde_cbor",
    "serde_yaml",
    "stdweb",
    "tempdir",
    "trust-dns-proto",
    "yaml-rust",
    "yansi-term",
];

/// Unmaintained crates that are compiled for Linux all the same, and why that is right.
pub(crate) const ACCEPTED: [(&str, &str); 3] = [
    ("fxhash", "sled's hash of its own page ids; sees nothing from outside"),
    ("instant", "sled; on Linux it is the standard library's clock under another name"),
    ("paste", "netlink-packet-core; joins names while compiling and is not in the binary"),
];
