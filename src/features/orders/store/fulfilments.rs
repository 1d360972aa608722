//! SQL of parcels. Whoever changes one has locked its order.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::features::orders::fulfilment::{Carrier, Fulfilment, ParcelItem, ParcelStatus, Units};
use crate::platform::ids::{FulfilmentId, OrderId};

/// A parcel to pack.
#[derive(Clone, Debug, Default)]
pub struct NewParcel {
    /// Who carries it.
    pub carrier: Option<Carrier>,
    /// The carrier's number.
    pub tracking_number: Option<String>,
    /// Where it can be looked for.
    pub tracking_url: Option<String>,
    /// For the buyer.
    pub note: Option<String>,
}

/// A change of a parcel; `None` leaves a field as it is, and the inner none empties it.
#[derive(Clone, Debug, Default)]
pub struct ParcelChange {
    /// Where it is.
    pub status: Option<ParcelStatus>,
    /// Who carries it.
    pub carrier: Option<Option<Carrier>>,
    /// The carrier's number.
    pub tracking_number: Option<Option<String>>,
    /// Where it can be looked for.
    pub tracking_url: Option<Option<String>>,
    /// For the buyer.
    pub note: Option<Option<String>>,
}

struct Row {
    id: FulfilmentId,
    number: i32,
    status: ParcelStatus,
    carrier: Option<Carrier>,
    tracking_number: Option<String>,
    tracking_url: Option<String>,
    note: Option<String>,
    version: i32,
    created_at: DateTime<Utc>,
    shipped_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    items: Json<Vec<ParcelItem>>,
}

/// The parcels of an order, in the order in which they were packed.
///
/// # Errors
/// The database's.
pub async fn parcels(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<Fulfilment>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select f.id as "id: FulfilmentId", f.number, f.status as "status: ParcelStatus", f.carrier as "carrier: Carrier",
                  f.tracking_number, f.tracking_url, f.note, f.version, f.created_at, f.shipped_at, f.delivered_at,
                  (select coalesce(jsonb_agg(to_jsonb(i) order by o.position), '[]') from fulfilment_items i
                   join order_items o on o.id = i.order_item_id
                   where i.fulfilment_id = f.id) as "items!: Json<Vec<ParcelItem>>"
           from fulfilments f where f.order_id = $1 order by f.number"#,
        order.0,
    )
    .fetch_all(c)
    .await?;
    let parcels = rows.into_iter().map(|row| Fulfilment {
        id: row.id,
        number: row.number,
        status: row.status,
        carrier: row.carrier,
        tracking_number: row.tracking_number,
        tracking_url: row.tracking_url,
        note: row.note,
        version: row.version,
        created_at: row.created_at,
        shipped_at: row.shipped_at,
        delivered_at: row.delivered_at,
        items: row.items.0,
    });
    Ok(parcels.collect())
}

/// Packs a parcel. The database refuses lines of other orders, and more units than are left of a line
/// (`order_items_units`). Gives its id and number.
///
/// # Errors
/// The database's.
pub async fn pack(
    c: &mut PgConnection,
    order: OrderId,
    new: &NewParcel,
    items: &[ParcelItem],
    now: DateTime<Utc>,
) -> sqlx::Result<(FulfilmentId, i32)> {
    let id = FulfilmentId::new();
    let number = sqlx::query_scalar!(
        "insert into fulfilments (id, order_id, number, carrier, tracking_number, tracking_url, note, created_at, updated_at)
         values ($1, $2, (select coalesce(max(number), 0) + 1 from fulfilments where order_id = $2), $3, $4, $5, $6, $7, $7)
         returning number",
        id.0,
        order.0,
        new.carrier as Option<Carrier>,
        new.tracking_number,
        new.tracking_url,
        new.note,
        now,
    )
    .fetch_one(&mut *c)
    .await?;
    let lines: Vec<Uuid> = items.iter().map(|item| item.order_item_id.0).collect();
    let quantities: Vec<i32> = items.iter().map(|item| item.quantity).collect();
    sqlx::query!(
        "insert into fulfilment_items (fulfilment_id, order_item_id, quantity)
         select $1, l.id, l.quantity from unnest($2::uuid[], $3::int[]) as l (id, quantity) order by l.id",
        id.0,
        &lines,
        &quantities,
    )
    .execute(c)
    .await?;
    Ok((id, number))
}

/// Changes a parcel if it still has `version`. False when it has another one.
///
/// # Errors
/// The database's.
pub async fn change_parcel(
    c: &mut PgConnection,
    id: FulfilmentId,
    version: i32,
    change: &ParcelChange,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "update fulfilments
         set status = coalesce($3, status), carrier = case when $4 then $5 else carrier end,
             tracking_number = case when $6 then $7 else tracking_number end,
             tracking_url = case when $8 then $9 else tracking_url end, note = case when $10 then $11 else note end,
             shipped_at = case when $3 = 'shipped' then $12 else shipped_at end,
             delivered_at = case when $3 = 'delivered' then $12 else delivered_at end,
             version = version + 1, updated_at = $12
         where id = $1 and version = $2",
        id.0,
        version,
        change.status as Option<ParcelStatus>,
        change.carrier.is_some(),
        change.carrier.flatten() as Option<Carrier>,
        change.tracking_number.is_some(),
        change.tracking_number.as_ref().and_then(Option::as_deref),
        change.tracking_url.is_some(),
        change.tracking_url.as_ref().and_then(Option::as_deref),
        change.note.is_some(),
        change.note.as_ref().and_then(Option::as_deref),
        now,
    )
    .execute(c)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Unpacks what has not left the house. Gives how many parcels that were.
///
/// # Errors
/// The database's.
pub async fn unpack_all(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let unpacked = sqlx::query!(
        "update fulfilments set status = 'cancelled', version = version + 1, updated_at = $2
         where order_id = $1 and status = 'packed'",
        order.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(unpacked.rows_affected())
}

/// Counts the units of an order.
///
/// # Errors
/// The database's.
pub async fn units(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Units> {
    sqlx::query_as!(
        Units,
        r#"select sum(i.quantity - i.cancelled_quantity) as "ordered!", sum(i.fulfilled_quantity) as "packed!",
                  sum(i.shipped_quantity) as "shipped!",
                  (select coalesce(sum(p.quantity), 0) from fulfilments f join fulfilment_items p on p.fulfilment_id = f.id
                   where f.order_id = $1 and f.status = 'delivered') as "delivered!",
                  (select coalesce(sum(b.quantity), 0) from returns r join return_items b on b.return_id = r.id
                   where r.order_id = $1 and r.status = 'received') as "received!"
           from order_items i where i.order_id = $1"#,
        order.0,
    )
    .fetch_one(c)
    .await
}

/// Lets the order say what its parcels say: how much has left the house, and by which number it is looked for.
///
/// # Errors
/// The database's.
pub async fn follow_parcels(
    c: &mut PgConnection,
    order: OrderId,
    units: Units,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update orders
         set fulfilment_status = case when $2::bigint = 0 then 'unfulfilled' when $2 < $3::bigint then 'partial' else 'fulfilled' end,
             tracking_number = (select tracking_number from fulfilments
                                where order_id = $1 and status <> 'cancelled' and tracking_number is not null
                                order by number desc limit 1),
             updated_at = $4
         where id = $1",
        order.0,
        units.shipped,
        units.ordered,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// When the last parcel of an order arrived; none while one is still on its way.
///
/// # Errors
/// The database's.
pub async fn arrived_at(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"select case when bool_and(status = 'delivered') then max(delivered_at) end as at
           from fulfilments where order_id = $1 and status <> 'cancelled'"#,
        order.0,
    )
    .fetch_one(c)
    .await
}
