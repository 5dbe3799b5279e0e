//! What somebody said: decided about, shown, and told when its time has come (PROTOCOL D3).

use super::Group;
use super::cx::Cx;
use super::line::{LineRow, RowKind, to_line};
use super::log::Order;
use crate::error::{Error, Refusal, Why};
use crate::id::{EnvelopeId, MsgId};
use crate::limits::{AHEAD_MAX, RETENTION_MAX, TOMBSTONE_KEPT};
use crate::step::{Event, MessageState, Outcome, Reply};
use crate::wire::content::{Content, Kind, msg_id};
use crate::wire::envelope::Envelope;
use crate::wire::signed::Signed;

impl Group {
    /// Decides about what somebody said, however it came.
    pub(crate) fn take_content(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        order: Order,
        (signed, content): (Signed, Content),
        author_name: String,
    ) -> Result<Outcome, Error> {
        let id = msg_id(&signed);
        let seen = (id, content.deadline + TOMBSTONE_KEPT);
        let dies = (lives(cx, &content) == Ok(())).then_some(content.deadline);
        let known = self.knows(cx, &id);
        self.log.keep_opened(cx, self.net, envelope, order, dies, Some(seen));
        if known && dies.is_some() {
            return Ok(Outcome::Duplicate);
        }
        Ok(self.take_words(cx, (signed, content), author_name, Some(envelope.id())))
    }

    /// Whether something said was met before. What its author took back has no line, and comes back as none.
    pub(crate) fn knows(&self, cx: &Cx<'_>, id: &MsgId) -> bool {
        self.outbox.get(id).is_some() || self.history.has(id) || self.log.has_message(id, cx.now.sweep)
    }

    /// Shows what somebody said, or notes what it tells of an own message, unless its time is over.
    pub(crate) fn take_words(
        &mut self,
        cx: &mut Cx<'_>,
        (signed, content): (Signed, Content),
        author_name: String,
        envelope: Option<EnvelopeId>,
    ) -> Outcome {
        if let Err(refusal) = lives(cx, &content) {
            return Outcome::Refused(refusal);
        }
        let id = msg_id(&signed);
        let author = content.author.member();
        match content.kind {
            Kind::Receipt(ids) => {
                self.mark_received(cx, author, &ids);
                Outcome::Applied(Reply::Done)
            }
            Kind::Text(text) => {
                let row = LineRow {
                    pos: content.pos,
                    author,
                    author_name,
                    kind: RowKind::Text(text),
                    expires: Some(content.deadline),
                    own: author == self.me.member(),
                    arrival: None,
                    late: false,
                    signed: Some(signed),
                    envelope,
                };
                if !row.own {
                    self.receipt_soon(cx, id);
                }
                self.show(cx, id, row);
                let ahead = content.pos > cx.now.stamp + AHEAD_MAX;
                if ahead { Outcome::Parked(Why::Ahead) } else { Outcome::Applied(Reply::Done) }
            }
        }
    }

    /// Puts a line of somebody into the history and tells the faces.
    pub(crate) fn show(&mut self, cx: &mut Cx<'_>, id: MsgId, row: LineRow) {
        let row = self.history.insert(cx, self.net, id, row);
        if row.arrival.is_some() {
            cx.tell(Event::Line { group: self.id, line: to_line(id, &row, MessageState::Held) });
        }
    }

    /// Tells the lines that were written far ahead of the clock and whose time has come.
    pub(crate) fn surface(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        for (id, row) in self.history.arrive(cx, self.net)? {
            self.receipts.by(cx.now.wall);
            if self.history.is_visible(&id, cx.now.stamp) {
                cx.tell(Event::Line { group: self.id, line: to_line(id, &row, MessageState::Held) });
            }
        }
        Ok(())
    }
}

/// Whether the time of something said is not over, and has an end.
fn lives(cx: &Cx<'_>, content: &Content) -> Result<(), Refusal> {
    let lasts = content.deadline <= content.pos + RETENTION_MAX && content.pos <= cx.now.stamp + RETENTION_MAX;
    match content.deadline > cx.now.sweep {
        _ if !lasts => Err(Refusal::Malformed),
        false => Err(Refusal::Expired),
        true => Ok(()),
    }
}
