//! One request, and what Cloudinary makes of it.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::Error;

/// Largest answer read, in bytes. The answer to an upload is about 2 kB.
const MAX_ANSWER: usize = 256 * 1024;
/// Longest text of an error that is kept, in characters.
const MAX_MESSAGE: usize = 500;
/// Cloudinary's own status for too many calls, besides 429.
const ENHANCE_YOUR_CALM: u16 = 420;
/// The header that repeats the text of an error.
const ERROR_HEADER: &str = "x-cld-error";

/// Sends one request and reads the JSON of a successful answer.
pub(crate) async fn send(request: RequestBuilder) -> Result<Value, Error> {
    let response = request.send().await.map_err(transport_error)?;
    let status = response.status();
    let http_status = status.as_u16();
    let retry_after = asked_wait(response.headers());
    if http_status == ENHANCE_YOUR_CALM || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::RateLimited { retry_after });
    }
    if status.is_server_error() || status == StatusCode::LOCKED {
        return Err(Error::Unavailable { http_status, retry_after });
    }
    let header = response.headers().get(ERROR_HEADER).and_then(|text| text.to_str().ok()).map(str::to_owned);
    let body = read_body(response).await;
    if status.is_success() {
        return serde_json::from_slice(&body?).map_err(|error| Error::Decode(error.to_string()));
    }
    // A refusal is one also if its text cannot be read.
    let told = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
    let told = told.as_ref().and_then(|answer| answer.pointer("/error/message")?.as_str()).map(str::to_owned);
    let message = told.or(header).unwrap_or_else(|| "no message".to_owned());
    let message = message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
    Err(Error::Rejected { http_status, message })
}

fn transport_error(error: reqwest::Error) -> Error {
    if error.is_timeout() { Error::Timeout } else { Error::Network(error.without_url()) }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::Decode(format!("the answer exceeds {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The wait an answer asks for: `retry-after` in seconds, or the time in Cloudinary's
/// `x-featureratelimit-reset`, seen from the answer's own `date`.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let time = |name: &str| DateTime::parse_from_rfc2822(text(name)?.trim()).ok();
    let seconds = || text(RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs);
    let until_reset = || (time("x-featureratelimit-reset")? - time(DATE.as_str())?).to_std().ok();
    seconds().or_else(until_reset)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_wait_is_read_from_either_header() {
        let wait = |pairs: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            asked_wait(&pairs.iter().map(header).collect())
        };
        let reset = ("x-featureratelimit-reset", "Wed, 03 Jul 2013 02:00:00 GMT");
        let date = ("date", "Wed, 03 Jul 2013 01:59:30 GMT");
        assert_eq!(wait(&[reset, date]), Some(Duration::from_secs(30)));
        assert_eq!(wait(&[("retry-after", "7"), reset, date]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[reset]), None);
        assert_eq!(wait(&[("date", "Wed, 03 Jul 2013 02:00:01 GMT"), reset]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
    }
}
