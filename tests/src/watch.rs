//! Listens to what the clients log: an error there is our bug, whatever else went well.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The errors logged while it was the default subscriber of the thread.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Vec<String>>>);

impl Watch {
    /// Takes what was logged since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscriber for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::ERROR {
            let mut words = Words(event.metadata().target().to_owned());
            event.record(&mut words);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(words.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

#[test]
fn an_error_is_heard_and_a_warning_is_not() {
    let watch = Watch::default();
    tracing::subscriber::with_default(watch.clone(), || {
        tracing::warn!("not this");
        tracing::error!(code = "this", "logged");
    });
    let heard = watch.take();
    assert!(heard.len() == 1 && heard.first().is_some_and(|words| words.contains("this")));
    assert!(watch.take().is_empty());
}
