//! What shoppers are offered.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::{ShippingOption, options};
use crate::app::App;
use crate::platform::address::Country;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, ok};
use crate::platform::money::Amount;

/// Where what goes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListShippingMethods {
    /// ISO 3166 code of two letters.
    #[param(required = true, example = "NG")]
    country: String,
    /// State (Nigeria) or region (Ghana).
    #[param(max_length = 100)]
    region: String,
    /// What the goods cost after discount, in main units. 0 when left out.
    #[param(value_type = Option<Amount>)]
    total: String,
    /// What they weigh. 0 when left out.
    #[param(value_type = Option<i64>, minimum = 0)]
    grams: String,
}

/// How goods are shipped there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShippingMethodsData {
    /// Of the prices.
    #[schema(example = "NGN")]
    currency: String,
    /// In the order of the shop. Empty when nothing is carried there.
    methods: Vec<ShippingOption>,
}

/// What was asked, read.
struct Asked {
    country: Country,
    region: Option<String>,
    goods: Amount,
    grams: i64,
}

impl ListShippingMethods {
    fn check(&self) -> Result<Asked> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String| faults.push(FieldError::new(field, message));
        let country = self.country.parse::<Country>();
        if let Err(message) = country {
            fault("country", message.into());
        }
        if self.region.chars().count() > 100 {
            fault("region", "must have at most 100 characters".into());
        }
        let goods = given(&self.total).map_or(Ok(Amount(0)), str::parse);
        if let Err(error) = &goods {
            fault("total", error.to_string());
        }
        let grams = given(&self.grams).map_or(Ok(0), str::parse).ok().filter(|grams: &i64| *grams >= 0);
        if grams.is_none() {
            fault("grams", "must be a whole number that is not negative".into());
        }
        match (country, goods, grams) {
            (Ok(country), Ok(goods), Some(grams)) if faults.is_empty() => {
                // As an order's address, it may be one that the shop does not know.
                let proper = |region: &str| country.check_region(region).unwrap_or_else(|_| region.to_owned());
                let region = given(&self.region).map(proper);
                Ok(Asked { country, region, goods, grams })
            }
            _ => Err(Error::Validation(faults)),
        }
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// List shipping methods
///
/// Those that go to a place, with their prices for goods that cost and weigh so much.
#[utoipa::path(get, path = "/shipping/methods", tag = "Shipping", security(()), params(ListShippingMethods), responses(
    (status = 200, body = Envelope<ShippingMethodsData>),
    (status = 400, body = ErrorEnvelope),
))]
pub(super) async fn list_shipping_methods(
    State(app): State<App>,
    Query(query): Query<ListShippingMethods>,
) -> Answer<ShippingMethodsData> {
    let asked = query.check()?;
    let rates = app.rates.current().await?;
    let methods = options(&rates.zones, asked.country.as_str(), asked.region.as_deref(), asked.goods, asked.grams);
    Ok(ok(ShippingMethodsData { currency: app.config.store.currency.clone(), methods }))
}
