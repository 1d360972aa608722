//! SQL of shipping. Zones and methods are read together, because a shop has few.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Method, Tier, Zone};
use crate::platform::ids::{MethodId, ZoneId};
use crate::platform::money::Amount;
use crate::platform::place::Place;

/// All zones with their places and methods, by name. The services keep them few.
pub async fn zones(c: &mut PgConnection) -> sqlx::Result<Vec<Zone>> {
    let rows = sqlx::query!("select id, name, version from shipping_zones order by lower(name), id")
        .fetch_all(&mut *c)
        .await?;
    let mut places = places(c).await?;
    let mut methods = methods(c).await?;
    let zones = rows.into_iter().map(|row| Zone {
        id: ZoneId(row.id),
        name: row.name,
        places: places.remove(&row.id).unwrap_or_default(),
        methods: methods.remove(&row.id).unwrap_or_default(),
        version: row.version,
    });
    Ok(zones.collect())
}

async fn places(c: &mut PgConnection) -> sqlx::Result<HashMap<Uuid, Vec<Place>>> {
    let rows =
        sqlx::query!("select zone_id, country, region from shipping_places order by country, region nulls first",)
            .fetch_all(c)
            .await?;
    let mut places: HashMap<Uuid, Vec<Place>> = HashMap::new();
    for row in rows {
        places.entry(row.zone_id).or_default().push(Place::stored(row.country, row.region));
    }
    Ok(places)
}

async fn methods(c: &mut PgConnection) -> sqlx::Result<HashMap<Uuid, Vec<Method>>> {
    let rows = sqlx::query!(
        "select id, zone_id, code, name, price_minor, min_days, max_days, free_from_minor, pays_on_delivery, is_pickup,
                pickup_details, max_grams, is_active, position, version
         from shipping_methods order by position, code",
    )
    .fetch_all(&mut *c)
    .await?;
    let mut tiers = tiers(c).await?;
    let mut methods: HashMap<Uuid, Vec<Method>> = HashMap::new();
    for row in rows {
        let method = Method {
            id: MethodId(row.id),
            code: row.code,
            name: row.name,
            price: Amount(row.price_minor),
            tiers: tiers.remove(&row.id).unwrap_or_default(),
            min_days: row.min_days,
            max_days: row.max_days,
            free_from: row.free_from_minor.map(Amount),
            pays_on_delivery: row.pays_on_delivery,
            is_pickup: row.is_pickup,
            pickup_details: row.pickup_details,
            max_grams: row.max_grams,
            is_active: row.is_active,
            position: row.position,
            version: row.version,
        };
        methods.entry(row.zone_id).or_default().push(method);
    }
    Ok(methods)
}

async fn tiers(c: &mut PgConnection) -> sqlx::Result<HashMap<Uuid, Vec<Tier>>> {
    let rows = sqlx::query!(
        "select method_id, from_grams, from_total_minor, price_minor from shipping_tiers
         order by from_grams, from_total_minor",
    )
    .fetch_all(c)
    .await?;
    let mut tiers: HashMap<Uuid, Vec<Tier>> = HashMap::new();
    for row in rows {
        let (from_total, price) = (Amount(row.from_total_minor), Amount(row.price_minor));
        tiers.entry(row.method_id).or_default().push(Tier { from_total, from_grams: row.from_grams, price });
    }
    Ok(tiers)
}

/// Waits until nobody else is changing taxes or shipping.
pub(super) async fn lock(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select lock_rates()").execute(c).await?;
    Ok(())
}

/// Stores a zone, new or changed, with its places; its methods stay as they are.
pub(super) async fn save_zone(c: &mut PgConnection, zone: &Zone) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into shipping_zones (id, name, version) values ($1, $2, $3)
         on conflict (id) do update set name = excluded.name, version = excluded.version",
        zone.id.0,
        zone.name,
        zone.version,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!("delete from shipping_places where zone_id = $1", zone.id.0).execute(&mut *c).await?;
    let countries: Vec<_> = zone.places.iter().map(|place| place.country().to_owned()).collect();
    let regions: Vec<_> = zone.places.iter().map(|place| place.region().map(str::to_owned)).collect();
    sqlx::query!(
        "insert into shipping_places (zone_id, country, region)
         select $1, country, region from unnest($2::text[], $3::text[]) as p (country, region)",
        zone.id.0,
        &countries,
        &regions as &[Option<String>],
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes a zone with all that is of it.
pub(super) async fn delete_zone(c: &mut PgConnection, id: ZoneId) -> sqlx::Result<()> {
    sqlx::query!("delete from shipping_zones where id = $1", id.0).execute(c).await?;
    Ok(())
}

/// Stores a method of a zone, new or changed, with its tiers.
pub(super) async fn save_method(c: &mut PgConnection, zone: ZoneId, method: &Method) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into shipping_methods (id, zone_id, code, name, price_minor, min_days, max_days, free_from_minor,
                                       pays_on_delivery, is_pickup, pickup_details, max_grams, is_active, position, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         on conflict (id) do update set
           code = excluded.code, name = excluded.name, price_minor = excluded.price_minor, min_days = excluded.min_days,
           max_days = excluded.max_days, free_from_minor = excluded.free_from_minor,
           pays_on_delivery = excluded.pays_on_delivery, is_pickup = excluded.is_pickup,
           pickup_details = excluded.pickup_details, max_grams = excluded.max_grams, is_active = excluded.is_active,
           position = excluded.position, version = excluded.version",
        method.id.0,
        zone.0,
        method.code,
        method.name,
        method.price.0,
        method.min_days,
        method.max_days,
        method.free_from.map(|amount| amount.0),
        method.pays_on_delivery,
        method.is_pickup,
        method.pickup_details,
        method.max_grams,
        method.is_active,
        method.position,
        method.version,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!("delete from shipping_tiers where method_id = $1", method.id.0).execute(&mut *c).await?;
    let grams: Vec<_> = method.tiers.iter().map(|tier| tier.from_grams).collect();
    let totals: Vec<_> = method.tiers.iter().map(|tier| tier.from_total.0).collect();
    let prices: Vec<_> = method.tiers.iter().map(|tier| tier.price.0).collect();
    sqlx::query!(
        "insert into shipping_tiers (method_id, from_grams, from_total_minor, price_minor)
         select $1, grams, total, price from unnest($2::bigint[], $3::bigint[], $4::bigint[]) as t (grams, total, price)",
        method.id.0,
        &grams,
        &totals,
        &prices,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn delete_method(c: &mut PgConnection, id: MethodId) -> sqlx::Result<()> {
    sqlx::query!("delete from shipping_methods where id = $1", id.0).execute(c).await?;
    Ok(())
}
