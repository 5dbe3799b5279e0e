//! A line of the history: as it is stored, and as the faces see it.

use std::time::Duration;

use minicbor::{Decode, Encode};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Error;
use crate::id::{EnvelopeId, MemberId, MsgId};
use crate::step::{Line, LineKind, MessageState};
use crate::time::Time;
use crate::wire;
use crate::wire::content::{Content, Kind};
use crate::wire::signed::{Body as _, Signed};

/// A line. The text dies with its row.
#[derive(Clone)]
pub(crate) struct LineRow {
    pub(crate) pos: Time,
    pub(crate) author: MemberId,
    pub(crate) author_name: String,
    pub(crate) kind: RowKind,
    pub(crate) expires: Option<Time>,
    pub(crate) own: bool,
    /// Counts up by arrival on this device; what is above the read mark is unread. A line that was written far ahead of
    /// the clock has none until it can be seen (PROTOCOL D3): nobody fills a mark with lines that nobody sees.
    pub(crate) arrival: Option<u64>,
    pub(crate) late: bool,
    /// The signed inner bytes of what others or we said, to be passed on or sealed anew.
    pub(crate) signed: Option<Signed>,
    /// The envelope it came or left in: its bytes die with the line.
    pub(crate) envelope: Option<EnvelopeId>,
}

/// A line as stored: what was signed is in it once.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct Stored {
    #[n(0)]
    what: What,
    #[n(1)]
    author_name: String,
    #[n(2)]
    own: bool,
    #[n(3)]
    arrival: Option<u64>,
    #[n(4)]
    late: bool,
    #[n(5)]
    envelope: Option<EnvelopeId>,
}

#[derive(Encode, Decode)]
#[cbor(flat)]
enum What {
    #[n(0)]
    Said(#[n(0)] Signed),
    #[n(1)]
    Changed(#[n(0)] Time, #[n(1)] MemberId, #[n(2)] RowKind),
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let What::Said(signed) = &mut self.what {
            signed.body.zeroize();
        }
    }
}

impl Stored {
    pub(super) fn of(row: &LineRow) -> Self {
        let said = row.signed.clone().map(What::Said);
        Self {
            what: said.unwrap_or_else(|| What::Changed(row.pos, row.author, row.kind.clone())),
            author_name: row.author_name.clone(),
            own: row.own,
            arrival: row.arrival,
            late: row.late,
            envelope: row.envelope,
        }
    }

    pub(super) fn into_row(mut self) -> Result<LineRow, Error> {
        let author_name = std::mem::take(&mut self.author_name);
        let (pos, author, kind, expires, signed) = match &self.what {
            What::Changed(pos, author, kind) => (*pos, *author, kind.clone(), None, None),
            What::Said(signed) => {
                let content = wire::decode::<Content>(&signed.body, Content::BYTES_MAX).map_err(|_| Error::Broken)?;
                let Kind::Text(text) = content.kind else { return Err(Error::Broken) };
                let author = content.author.member();
                (content.pos, author, RowKind::Text(text), Some(content.deadline), Some(signed.clone()))
            }
        };
        let (own, arrival, late, envelope) = (self.own, self.arrival, self.late, self.envelope);
        Ok(LineRow { pos, author, author_name, kind, expires, own, arrival, late, signed, envelope })
    }
}

/// What a stored line tells.
#[derive(Clone, Encode, Decode)]
#[cbor(flat)]
pub(crate) enum RowKind {
    #[n(0)]
    Text(#[n(0)] String),
    #[n(1)]
    Joined(#[n(0)] String),
    #[n(2)]
    Left(#[n(0)] String),
    #[n(3)]
    Removed(#[n(0)] String),
    #[n(4)]
    Retention(#[n(0)] u64),
    #[n(5)]
    Appointed(#[n(0)] String),
    #[n(6)]
    Dismissed(#[n(0)] String),
    #[n(7)]
    Back(#[n(0)] String),
}

impl LineRow {
    /// The line of a change of the group, which stays when messages go.
    pub(crate) fn of_change(at: Time, author: MemberId, author_name: String, kind: RowKind, own: bool) -> Self {
        Self {
            pos: at,
            author,
            author_name,
            kind,
            expires: None,
            own,
            arrival: None,
            late: false,
            signed: None,
            envelope: None,
        }
    }
}

impl Drop for LineRow {
    fn drop(&mut self) {
        if let RowKind::Text(text) = &mut self.kind {
            text.zeroize();
        }
        if let Some(signed) = &mut self.signed {
            signed.body.zeroize();
        }
    }
}

/// A line for the faces.
pub(crate) fn to_line(id: MsgId, row: &LineRow, state: MessageState) -> Line {
    let kind = match &row.kind {
        RowKind::Text(text) => LineKind::Text(Zeroizing::new(text.clone())),
        RowKind::Joined(name) => LineKind::Joined(name.clone()),
        RowKind::Left(name) => LineKind::Left(name.clone()),
        RowKind::Removed(name) => LineKind::Removed(name.clone()),
        RowKind::Appointed(name) => LineKind::Appointed(name.clone()),
        RowKind::Dismissed(name) => LineKind::Dismissed(name.clone()),
        RowKind::Back(name) => LineKind::Back(name.clone()),
        RowKind::Retention(seconds) => LineKind::Retention(Duration::from_secs(*seconds)),
    };
    Line {
        id,
        kind,
        author: row.author,
        author_name: row.author_name.clone(),
        own: row.own,
        sent: row.pos,
        expires: row.expires,
        state,
        late: row.late,
    }
}
