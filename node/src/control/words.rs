//! Every refusal in the words that a person reads: what happened, that nothing was lost if so, what to do next.
//!
//! One table. A line is: its number for programs, its stable name for scripts, the message, the hint. It is read by
//! people who may be ill, tired or frightened: nobody is blamed, and no word needs explaining.

macro_rules! kinds {
    ($($name:ident $code:literal $text:literal $message:literal $hint:literal)*) => {
        /// What kind of thing went wrong. Number and name are stable; the words may get better.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorKind {
            $(#[doc = concat!("\"", $message, "\"")] $name,)*
        }

        impl ErrorKind {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The JSON-RPC error code.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What happened, in plain words.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            /// What to do next.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

kinds! {
    // Groups and people.
    UnknownGroup 1001 "unknown_group"
        "there is no such group on this device; nothing was changed"
        "`kinfold group list` shows the groups you are in"
    AmbiguousGroup 1002 "ambiguous_group"
        "more than one group fits that name; nothing was changed"
        "use the beginning of the group's id; `kinfold group list` shows it"
    UnknownMember 1003 "unknown_member"
        "nobody in this group goes by that name; nothing was changed"
        "`kinfold members GROUP` shows who is in it"
    AmbiguousMember 1004 "ambiguous_member"
        "more than one person in this group fits that name; nothing was changed"
        "use the beginning of the person's id; `kinfold members GROUP` shows it"
    NotFacilitator 1005 "not_facilitator"
        "only a facilitator of this group can do that; nothing was changed"
        "ask a facilitator; `kinfold members GROUP` shows who that is"
    LastFacilitator 1006 "last_facilitator"
        "you are the only facilitator, and the others need one; you are still in the group"
        "you can leave once nobody else is in it"
    RemoveSelf 1007 "remove_self"
        "nobody can remove themselves; nothing was changed"
        "to go, use `kinfold group leave GROUP`"
    GroupLeft 1008 "group_left"
        "you have left this group"
        "to come back, ask a facilitator for a new invite"
    GroupRemoved 1009 "group_removed"
        "you are no longer in this group; your other groups are not affected"
        "a facilitator of the group can tell you more"
    GroupBroken 1010 "group_broken"
        "this group's data on this device cannot be read, so it was set aside; your other groups go on"
        "to come back, ask a facilitator for a new invite; the others still have their own copies"
    VerifySelf 1012 "verify_self"
        "that is you; there is nothing to compare"
        "`kinfold members GROUP` shows the others"
    Full 1011 "full"
        "there is no room for more people, open invites or groups; nothing was changed"
        "take back an invite that nobody needs, or leave a group that has ended"

    // Messages and settings.
    UnknownMessage 1101 "unknown_message"
        "there is no such message waiting; it may have been delivered, or its time is over"
        "`kinfold outbox` shows what is waiting"
    AmbiguousMessage 1102 "ambiguous_message"
        "more than one waiting message has an id that begins like that; nothing was changed"
        "type a few more characters of the id; `kinfold outbox` shows it"
    BadText 1103 "bad_text"
        "the message is empty or too long; it was not sent"
        "a message can have about 2,500 words; a longer one can go in parts"
    BadName 1104 "bad_name"
        "that name cannot be used: it is empty, too long, or has hidden characters; nothing was changed"
        "choose a plain name of up to 64 letters, fewer with accents"
    BadLifetime 1105 "bad_lifetime"
        "that span is too short or too long; nothing was changed"
        "a message: from 5s up to the group's own span; a group: from 1h to 90d; an invite: up to 30d"
    BadAddress 1106 "bad_address"
        "that is not an address; it looks like /ip4/192.168.1.20/tcp/4001; nothing was tried"
        "`kinfold group show GROUP` on the other device says where it listens, as /ip4/192.168.1.20/tcp/4001"
    OutboxFull 1107 "outbox_full"
        "too many messages are waiting to be delivered; this one was not sent, the others are safe"
        "wait until somebody of the group is connected, or drop some: `kinfold outbox`"

    // Invites.
    UnknownInvite 1201 "unknown_invite"
        "there is no such invite; nothing was changed"
        "`kinfold invite list GROUP` shows the invites made on this device"
    AmbiguousInvite 1202 "ambiguous_invite"
        "more than one invite has an id that begins like that; nothing was changed"
        "type a few more characters of the id; `kinfold invite list GROUP` shows it"
    InviteMalformed 1203 "invite_malformed"
        "this is not a whole invite; nothing was changed"
        "copy all of it again, from `kinfold:` to its end"
    InviteExpired 1204 "invite_expired"
        "this invite's time is over; nothing was changed"
        "ask the person who sent it for a new one"
    InviteUsed 1205 "invite_used"
        "this invite was already used; nothing was changed"
        "ask the person who sent it for a new one; each invite lets one person in"
    InviteRevoked 1206 "invite_revoked"
        "this invite was taken back; nothing was changed"
        "ask the person who sent it for a new one"
    AlreadyMember 1207 "already_member"
        "you are already in this group"
        "`kinfold chat GROUP` opens it"
    GroupFull 1208 "group_full"
        "the group has no room for another person; nothing was changed"
        "ask the person who invited you"
    WrongGroup 1209 "wrong_group"
        "what answered is not the group that this invite is for; nothing was joined"
        "ask the person who invited you for a new invite, in a way that you trust"
    JoinRefused 1210 "join_refused"
        "the other device did not accept this invite; nothing was changed"
        "ask the person who invited you for a new one"
    NobodyAnswered 1211 "nobody_answered"
        "nobody of the group could be reached yet; while Kinfold runs here it keeps trying, until the invite ends"
        "ask the person who invited you to have Kinfold running; `kinfold join --cancel` stops trying"
    JoinCancelled 1215 "join_cancelled"
        "Kinfold has stopped trying to join; you are not in the group here"
        "the same invite works again until its time is over, unless it was used"
    BadAnswer 1212 "bad_answer"
        "the answer of the other device could not be used; nothing was changed"
        "try again; if it stays so, compare `kinfold version` on both devices"
    AskedTooOften 1213 "asked_too_often"
        "the other device asks for a pause; nothing was changed"
        "try again in a few minutes"
    NameTaken 1214 "name_taken"
        "somebody in that group goes by this name already; nothing was changed"
        "join again with another name: `kinfold join --name NAME`; the invite is still good"

    // This device's Kinfold.
    Locked 1301 "locked"
        "Kinfold is locked; nothing was lost"
        "`kinfold unlock` opens it with your passphrase"
    NotRunning 1302 "not_running"
        "Kinfold is not running here; nothing was lost"
        "start it with `kinfold up` in another window"
    WrongPassphrase 1303 "wrong_passphrase"
        "that passphrase does not open this device's data; nothing was changed"
        "try again; Caps Lock or another keyboard language can be the reason, and in rare cases a damaged disk"
    InUse 1304 "in_use"
        "Kinfold is already running with this data; nothing was changed"
        "`kinfold status` talks to it, `kinfold down` stops it"
    NotSetUp 1305 "not_set_up"
        "Kinfold is not set up here yet"
        "set it up with `kinfold init`, or name another place with --data-dir"
    AlreadySetUp 1306 "already_set_up"
        "Kinfold is already set up here; nothing was changed"
        "start it with `kinfold up`, or name another place with --data-dir"
    EmptyPassphrase 1307 "empty_passphrase"
        "a passphrase is needed; nothing was changed"
        "four or more unrelated words make a good one"
    BadListen 1308 "bad_listen"
        "Kinfold cannot listen at that address; nothing was lost"
        "an address to listen at looks like /ip4/0.0.0.0/tcp/0"
    PortTaken 1309 "port_taken"
        "another program uses that port; nothing was lost"
        "name another port with --listen, or leave it out and Kinfold finds one"
    PortShared 1310 "port_shared"
        "a fixed port can serve one group only; nothing was changed"
        "start Kinfold with port 0 or without --listen: each group then keeps a port of its own"
    Stopping 1311 "stopping"
        "Kinfold is stopping; what was accepted is safe"
        "start it again with `kinfold up`"
    Busy 1312 "busy"
        "too many programs talk to Kinfold at once; nothing was changed"
        "close some of them and try again"
    NotReachable 1314 "not_reachable"
        "Kinfold is not reachable yet; no invite was made"
        "try again in a few seconds"
    TooLong 1313 "too_long"
        "that request is too long; nothing was changed"
        "a request is one line of at most 104 KiB"

    FewFiles 1316 "few_files"
        "this system lets Kinfold open too few files at a time; nothing was lost"
        "raise the limit with `ulimit -n 1024` in this window, then try again"
    BadSocket 1317 "bad_socket"
        "`control.sock` in the data folder is a link or another file, and not the one that Kinfold makes; nothing was \
         changed"
        "look where it comes from and remove it, then start Kinfold with `kinfold up`"
    NoMemory 1315 "no_memory"
        "there is not enough free memory to try the passphrase; nothing was changed"
        "close other programs, then try again"

    // The disk.
    Damaged 1401 "damaged"
        "the data on this device is damaged and could not be opened"
        "check the disk; to start anew in another place, use --data-dir and ask for new invites: the others in your groups \
         still have their own copies"
    DiskFull 1402 "disk_full"
        "the disk is full; nothing new was kept, and nothing was lost"
        "free some space, then try again"
    NewerVersion 1403 "newer_version"
        "this data was written by a newer Kinfold; nothing was changed"
        "use the newer one; `kinfold version` shows which one this is"
    NoAccess 1404 "no_access"
        "this account may not use the data folder; nothing was changed"
        "check whom the folder belongs to, or name another with --data-dir"
    StorageFailed 1405 "storage_failed"
        "the disk does not work as it should; nothing new was kept, what was accepted before is safe"
        "check the disk, then try again"
    KeysMissing 1406 "keys_missing"
        "the file with the keys is missing, and nobody can read the data here without it; nothing was changed"
        "if `keyring` was moved out of the data folder, put it back; to start anew in another place, use --data-dir and \
         ask for new invites"
    NotPrivate 1407 "not_private"
        "other accounts of this computer can get into the data folder, so it was not opened; nothing was changed"
        "close it to them with `chmod 700`, then try again"
    ReadOnly 1408 "read_only"
        "the disk can be read but not written; nothing new was kept, and nothing was lost"
        "make it writable, then try again"
    PathTooLong 1409 "path_too_long"
        "the path of the data folder is too long; nothing was changed"
        "name a shorter one with --data-dir"
    NotEmpty 1411 "not_empty"
        "there is something else in that folder, so Kinfold was not set up in it; nothing was changed"
        "name a folder of its own with --data-dir, one that is empty or not there yet"
    Misplaced 1412 "misplaced"
        "the files in which Kinfold keeps everything are not in the data folder any more; nothing new was kept"
        "put them back, and a Kinfold that runs goes on by itself; without them `kinfold down` stops it, and what was in \
         them is lost"
    OlderVersion 1413 "older_version"
        "this data was written by an older Kinfold, from before the first release; nothing was changed"
        "use the one that wrote it; to start anew in another place, use --data-dir and ask for new invites"
    Unsettled 1410 "unsettled"
        "the disk stopped working before it was known whether this was kept; what was accepted before is safe"
        "once the disk works again, look whether it is there before you do it again"

    // Programs that talk to the API.
    BadJson -32700 "bad_json"
        "that is not JSON; nothing was changed"
        "send one JSON object a line"
    BadRequest -32600 "bad_request"
        "that is not a JSON-RPC 2.0 request; nothing was changed"
        "a request has `jsonrpc`, `id` and `method`"
    UnknownMethod -32601 "unknown_method"
        "there is no such method; nothing was changed"
        "`kinfold version` shows the version of the API"
    BadParams -32602 "bad_params"
        "the parameters do not fit the method; nothing was changed"
        "parameters are one JSON object; names that a method does not know are refused"

    // Us.
    Bug 1901 "bug"
        "something went wrong inside Kinfold; what was accepted before is safe"
        "try again; if it comes back, please tell us, with what `kinfold version` shows"
}
