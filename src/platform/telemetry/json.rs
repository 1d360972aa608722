//! A log line as one JSON object: time, level, the fields of the event, its target, and the fields of its span.
//!
//! The JSON format of tracing-subscriber reads the fields of the span again for every line, and builds a tree of what it found.
//! Here they are taken as they were written when the span began.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events of spans whose fields are written by [`JsonFields`].
#[derive(Debug)]
pub(super) struct JsonLine;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for JsonLine {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        write!(line, "\",\"level\":\"{}\"", event.metadata().level())?;
        let mut fields = Fields { line: line.by_ref(), result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        line.write_str(",\"target\":")?;
        write_text(&mut line, event.metadata().target())?;
        if let Some(span) = context.lookup_current() {
            line.write_str(",\"span\":{\"name\":")?;
            write_text(&mut line, span.name())?;
            // `{"a":1}`, or nothing.
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Some(fields) = fields.fields.strip_prefix('{').and_then(|fields| fields.strip_suffix('}'))
                && !fields.is_empty()
            {
                write!(line, ",{fields}")?;
            }
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

struct Fields<'a> {
    line: Writer<'a>,
    result: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let line = &mut self.line;
        let name = |line: &mut Writer<'_>| {
            line.write_char(',')?;
            write_text(line, field.name())?;
            line.write_char(':')
        };
        self.result = self.result.and_then(|()| name(line)).and_then(|()| value(line));
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |line| write!(line, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |line| write_text(line, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, |line| {
            line.write_char('"')?;
            write!(Escaped(line), "{value:?}")?;
            line.write_char('"')
        });
    }
}

fn write_text(line: &mut Writer<'_>, text: &str) -> fmt::Result {
    line.write_char('"')?;
    Escaped(line).write_str(text)?;
    line.write_char('"')
}

/// Writes the inside of a JSON string (RFC 8259, 7).
struct Escaped<'a, 'b>(&'a mut Writer<'b>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_str(plain)?;
            match tail.as_bytes()[0] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                byte => write!(self.0, "\\u{byte:04x}")?,
            }
            rest = &tail[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn lines(events: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().json().event_format(JsonLine).with_writer(written.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let read = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            time.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            line
        };
        text.lines().map(read).collect()
    }

    #[test]
    fn a_line_has_the_fields_of_its_event_and_of_its_span() {
        let lines = lines(|| {
            let outer = tracing::info_span!("request", request_id = "0b1c", status = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("status", 200_u64);
            tracing::info!(status = 200_u16, ms = -3, ok = true, cause = ?Some("x"), "answered");
        });
        let target = module_path!();
        let span = json!({"name": "request", "request_id": "0b1c", "status": 200});
        let line = json!({
            "level": "INFO", "status": 200, "ms": -3, "ok": true, "cause": "Some(\"x\")", "message": "answered",
            "target": target, "span": span,
        });
        assert_eq!(lines, [line]);
    }

    #[test]
    fn nothing_that_is_logged_ends_its_line_or_its_string() {
        let text = "a\"b\\c\nd\u{1}e\tf é 🧵 \u{7f}";
        let lines = lines(|| tracing::warn!(text, shown = %text, "{text}"));
        assert_eq!(lines.len(), 1);
        for field in ["text", "shown", "message"] {
            assert_eq!(lines[0][field], text, "{field}");
        }
    }
}
