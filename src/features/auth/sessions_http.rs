//! The endpoints of one's own sessions, and how they are shown.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Identity;
use super::sessions_service::{self, Which};
use super::store::sessions::Session;
use crate::app::App;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, PathId, RequestMeta, ok};
use crate::platform::ids::SessionId;

/// A sign-in that lives.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionItem {
    id: SessionId,
    /// The browser and system, as far as they say.
    device: String,
    ip: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
    /// Whether the second factor was shown in it.
    two_factor: bool,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl SessionItem {
    pub(super) fn new(session: Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            device: device(session.user_agent.as_deref().unwrap_or_default()),
            ip: session.ip,
            current: current == Some(session.id),
            two_factor: session.two_factor,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
        }
    }
}

/// A user agent in words, such as `Chrome on Android`. They are for a person to recognise his devices by.
fn device(user_agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // Each browser also names those it wants to be taken for, so the order matters.
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown device".to_owned(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionsData {
    sessions: Vec<SessionItem>,
}

impl SessionsData {
    pub(super) fn new(sessions: Vec<Session>, current: Option<SessionId>) -> Self {
        Self { sessions: sessions.into_iter().map(|session| SessionItem::new(session, current)).collect() }
    }
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedData {
    pub(super) ended: usize,
}

/// My sessions
///
/// Those that live, the last used first.
#[utoipa::path(get, path = "/auth/sessions", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<SessionsData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn list_sessions(State(app): State<App>, identity: Identity) -> Answer<SessionsData> {
    let sessions = sessions_service::list(&app, identity.user_id).await?;
    Ok(ok(SessionsData::new(sessions, Some(identity.session_id))))
}

/// End one of my sessions
#[utoipa::path(delete, path = "/auth/sessions/{session}", tag = "Accounts", security(("bearer" = [])),
    params(("session" = SessionId, Path)), responses(
    (status = 200, body = Envelope<EndedData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "Unknown, over, or another person's"),
))]
pub(super) async fn end_session(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<SessionId>,
) -> Answer<EndedData> {
    let ended = sessions_service::revoke(&app, &identity, identity.user_id, Which::One(id), &meta).await?;
    Ok(ok(EndedData { ended }).say("That device is signed out."))
}

/// Sign out everywhere else
///
/// Ends all my sessions but this one. A customer's access token of another session may be accepted for some seconds more.
#[utoipa::path(delete, path = "/auth/sessions", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<EndedData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn end_other_sessions(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
) -> Answer<EndedData> {
    let others = Which::Others(identity.session_id);
    let ended = sessions_service::revoke(&app, &identity, identity.user_id, others, &meta).await?;
    Ok(ok(EndedData { ended }).say("All other devices are signed out."))
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn a_device_is_named_by_what_it_says() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537 Chrome/140 Safari/537 Edg/140",
                "Edge on Windows",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Unknown device"),
        ] {
            assert_eq!(device(user_agent), name);
        }
    }
}
