//! Addresses as staff send them.

use serde::Deserialize;
use utoipa::ToSchema;

use super::store::endpoints::Terms;
use crate::features::events;
use crate::platform::checked::Line;
use crate::platform::error::FieldError;
use crate::platform::http::json;
use crate::platform::text::Text;

/// An address to be told of events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateWebhook {
    /// With https, on port 443, of the public internet; in development with http and port 80 too. The settings may name
    /// networks that are reached besides, on any port.
    #[schema(value_type = String, min_length = 1, max_length = 2000, example = "https://erp.example.com/agape")]
    url: Line<1, 2000>,
    /// For staff.
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Text<0, 500>>,
    /// What it is told of; everything, when left out or empty.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["order.paid", "order.cancelled"]))]
    topics: Vec<String>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    is_active: bool,
}

fn yes() -> bool {
    true
}

impl CreateWebhook {
    pub(super) fn into_terms(self) -> Terms {
        Terms {
            url: self.url.into_string(),
            description: self.description.map(Text::into_string).unwrap_or_default(),
            topics: self.topics,
            is_active: self.is_active,
        }
    }
}

/// A change of an address. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateWebhook {
    /// The version that the change is based on.
    pub(super) version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    url: Option<Line<1, 2000>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 500)]
    description: Option<Text<0, 500>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<String>, max_items = 100)]
    topics: Option<Vec<String>>,
    /// Turned on again, it gets what has happened meanwhile.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_active: Option<bool>,
}

impl UpdateWebhook {
    pub(super) fn apply(self, mut terms: Terms) -> Terms {
        if let Some(url) = self.url {
            terms.url = url.into_string();
        }
        if let Some(description) = self.description {
            terms.description = description.into_string();
        }
        terms.topics = self.topics.unwrap_or(terms.topics);
        terms.is_active = self.is_active.unwrap_or(terms.is_active);
        terms
    }
}

/// What is wrong with the topics. Sorts them, each once.
pub(super) fn check_topics(terms: &mut Terms, faults: &mut Vec<FieldError>) {
    for (i, topic) in terms.topics.iter().enumerate().take(100) {
        if !events::topics().any(|known| known == topic) {
            faults.push(FieldError::new(format!("topics[{i}]"), "is no topic; docs/webhooks.md lists them"));
        }
    }
    if terms.topics.len() > 100 {
        faults.push(FieldError::new("topics", "must have at most 100 entries"));
    }
    terms.topics.sort_unstable();
    terms.topics.dedup();
}
