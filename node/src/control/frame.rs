//! JSON-RPC 2.0 in lines: bytes to a request, an answer to bytes. Pure.

use std::borrow::Cow;

use kinfold_protocol::limits::TEXT_BYTES_MAX;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::api::{METHODS, Request};
use super::errors::{ApiError, ErrorKind, WireError};
use super::lines::Notice;

/// A request line without its end: the longest text with every byte written as `\u001b`, and room for what is around it.
pub(super) const LINE_BYTES_MAX: usize = ESCAPED_BYTES * TEXT_BYTES_MAX + 8 * 1024;

/// What JSON makes of one byte, at most.
const ESCAPED_BYTES: usize = 6;

/// An id that is a text: what answers repeat is bounded too.
const ID_BYTES_MAX: usize = 64;

/// What a request line says around its parameters.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    /// Not decoded here, so that a passphrase inside is never copied into a value that nobody wipes.
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Reads one request line: the id to answer under, and the request or why not.
pub(crate) fn parse(line: &[u8]) -> (Value, Result<Request, ApiError>) {
    let head: Head<'_> = match serde_json::from_slice(line) {
        Ok(head) => head,
        Err(error) if error.is_data() => return (Value::Null, Err(ApiError::new(ErrorKind::BadRequest))),
        Err(_) => return (Value::Null, Err(ApiError::new(ErrorKind::BadJson))),
    };
    let id = match head.id {
        Some(Value::Number(id)) => Value::Number(id),
        Some(Value::String(id)) if id.len() <= ID_BYTES_MAX => Value::String(id),
        _ => return (Value::Null, Err(ApiError::new(ErrorKind::BadRequest))),
    };
    let (Some("2.0"), Some(method)) = (head.jsonrpc.as_deref(), head.method.as_deref()) else {
        return (id, Err(ApiError::new(ErrorKind::BadRequest)));
    };
    if !METHODS.contains(&method) {
        return (id, Err(unknown_method(method)));
    }
    let params = head.params.map(RawValue::get).filter(|params| *params != "null").unwrap_or("{}");
    let call = Zeroizing::new(format!("{{\"method\":\"{method}\",\"params\":{params}}}"));
    let request = serde_json::from_str(&call).map_err(|why| {
        // Serde's own words name fields and types, never values of texts; they are for programmers.
        let why = if why.is_data() { field_of(&why.to_string()) } else { None };
        let error = ApiError::new(ErrorKind::BadParams);
        match why {
            Some(why) => error.with_hint(why),
            None => error,
        }
    });
    (id, request)
}

fn unknown_method(method: &str) -> ApiError {
    let error = ApiError::new(ErrorKind::UnknownMethod);
    let scored = METHODS.iter().map(|known| (strsim::jaro_winkler(method, known), known));
    match scored.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((score, known)) if score >= 0.8 => error.with_hint(format!("did you mean \"{known}\"?")),
        _ => error,
    }
}

/// The part of serde's message that names a field; the rest could repeat a value.
fn field_of(why: &str) -> Option<String> {
    let (what, field) = ["unknown field", "missing field", "duplicate field"]
        .into_iter()
        .find_map(|what| why.strip_prefix(what).map(|rest| (what, rest)))?;
    let name = field.split('`').nth(1)?;
    let name: String = name.chars().filter(char::is_ascii_graphic).take(ID_BYTES_MAX).collect();
    Some(format!("{what} `{name}`"))
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'a str,
    id: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
}

#[derive(Serialize)]
struct Event<'a> {
    jsonrpc: &'a str,
    method: &'a str,
    params: &'a Notice,
}

/// Writes an answer as one line.
pub(super) fn answer(id: &Value, result: Result<Value, ApiError>) -> Zeroizing<Vec<u8>> {
    match result {
        Ok(value) => line(&Answer { jsonrpc: "2.0", id, result: Some(&value), error: None }),
        Err(error) => line(&Answer { jsonrpc: "2.0", id, result: None, error: Some(error.into()) }),
    }
}

/// Writes a notice as one line.
pub(super) fn event(notice: &Notice) -> Zeroizing<Vec<u8>> {
    line(&Event { jsonrpc: "2.0", method: "event", params: notice })
}

fn line(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(serde_json::to_vec(value).expect("texts, numbers and maps with text keys are JSON"));
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (Value, ErrorKind, Option<String>) {
        let (id, result) = parse(line.as_bytes());
        let error = result.expect_err("refused");
        (id, error.kind, error.hint)
    }

    #[test]
    fn parameters_may_be_left_out_or_null_when_none_is_needed() {
        for params in ["", ",\"params\":null", ",\"params\":{}"] {
            let (id, request) =
                parse(format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"status\"{params}}}").as_bytes());
            assert_eq!((id, request), (Value::from(7), Ok(Request::Status {})));
        }
    }

    #[test]
    fn what_is_not_a_request_is_told_apart() {
        assert_eq!(refused("nonsense").1, ErrorKind::BadJson);
        assert_eq!(refused("[]").1, ErrorKind::BadRequest);
        assert_eq!(refused(r#"{"jsonrpc":"2.0","method":"status"}"#).1, ErrorKind::BadRequest);
        assert_eq!(refused(r#"{"jsonrpc":"1.0","id":1,"method":"status"}"#).1, ErrorKind::BadRequest);
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":{},"method":"status"}"#).1, ErrorKind::BadRequest);
        let (id, kind, hint) = refused(r#"{"jsonrpc":"2.0","id":"a","method":"stauts"}"#);
        assert_eq!((id, kind), (Value::from("a"), ErrorKind::UnknownMethod));
        assert_eq!(hint.as_deref(), Some("did you mean \"status\"?"));
    }

    #[test]
    fn parameters_that_do_not_fit_name_the_field_and_never_a_value() {
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"unlock","params":{"pasphrase":"hunter2"}}"#;
        assert_eq!(refused(line).2.as_deref(), Some("unknown field `pasphrase`"));
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"unlock"}"#;
        assert_eq!(refused(line).2.as_deref(), Some("missing field `passphrase`"));
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"history","params":{"group":"g","last":"hunter2"}}"#;
        let (_, kind, hint) = refused(line);
        assert_eq!(kind, ErrorKind::BadParams);
        assert!(!hint.expect("a hint").contains("hunter2"));
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}"#;
        assert_eq!(refused(line).1, ErrorKind::BadParams);
    }

    #[test]
    fn an_answer_is_one_line() {
        let line = answer(&Value::from(1), Ok(serde_json::json!({"text": "two\nlines"})));
        assert_eq!(line.as_slice(), b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"two\\nlines\"}}\n");
    }
}
