//! SQL of invoices.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{Invoice, Says, Seller, Stamp};
use crate::features::media::{Place, Provider};
use crate::platform::count::{self, Total};
use crate::platform::ids::OrderId;
use crate::platform::page::Part;

struct Row {
    order_id: OrderId,
    number: String,
    seller: Json<Seller>,
    order_number: String,
    currency: String,
    total_minor: i64,
    tax_minor: i64,
    issued_at: DateTime<Utc>,
    provider: Option<Provider>,
    key: Option<String>,
    version: Option<i64>,
    stamp: Option<Stamp>,
    paid_minor: Option<i64>,
    refunded_minor: Option<i64>,
    names_buyer: Option<bool>,
}

impl From<Row> for Invoice {
    fn from(row: Row) -> Self {
        let place = row.provider.zip(row.key).map(|(provider, key)| Place { provider, key, version: row.version });
        let says = match (row.stamp, row.paid_minor, row.refunded_minor, row.names_buyer) {
            (Some(stamp), Some(paid_minor), Some(refunded_minor), Some(names_buyer)) => {
                Some(Says { stamp, paid_minor, refunded_minor, names_buyer })
            }
            _ => None,
        };
        Self {
            order_id: row.order_id,
            number: row.number,
            seller: row.seller.0,
            order_number: row.order_number,
            currency: row.currency,
            total_minor: row.total_minor,
            tax_minor: row.tax_minor,
            issued_at: row.issued_at,
            document: place.zip(says),
        }
    }
}

/// The invoice of an order.
pub(super) async fn find(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Option<Invoice>> {
    let row = sqlx::query_as!(
        Row,
        r#"select order_id as "order_id: OrderId", number as "number!", seller as "seller: Json<Seller>", order_number,
                  currency, total_minor, tax_minor, issued_at, document_provider as "provider: Provider",
                  document_key as key, document_version as version, document_stamp as "stamp: Stamp",
                  document_paid_minor as paid_minor, document_refunded_minor as refunded_minor,
                  document_names_buyer as names_buyer
           from invoices where order_id = $1"#,
        order.0,
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(Invoice::from))
}

/// An invoice to be issued.
#[derive(Debug)]
pub(super) struct NewInvoice<'a> {
    pub order_id: OrderId,
    pub year: i32,
    pub prefix: &'a str,
    pub seller: &'a Seller,
    pub order_number: &'a str,
    pub currency: &'a str,
    pub total_minor: i64,
    pub tax_minor: i64,
}

/// Issues an invoice under the next number of its year. Whoever issues another one of that year waits until the transaction ends.
/// The order must be locked, so that it has none.
pub(super) async fn insert(c: &mut PgConnection, new: &NewInvoice<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into invoices (order_id, year, prefix, seller, order_number, currency, total_minor, tax_minor, issued_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.order_id.0,
        new.year,
        new.prefix,
        Json(new.seller) as _,
        new.order_number,
        new.currency,
        new.total_minor,
        new.tax_minor,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Notes where the file of an invoice is, and what it says.
pub(super) async fn set_document(c: &mut PgConnection, order: OrderId, place: &Place, says: &Says) -> sqlx::Result<()> {
    sqlx::query!(
        "update invoices
         set document_provider = $2, document_key = $3, document_version = $4, document_stamp = $5,
             document_paid_minor = $6, document_refunded_minor = $7, document_names_buyer = $8
         where order_id = $1",
        order.0,
        place.provider as Provider,
        place.key,
        place.version,
        says.stamp as Stamp,
        says.paid_minor,
        says.refunded_minor,
        says.names_buyer,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Forgets the files of the invoices of these orders. Gives where they are.
pub(super) async fn forget_documents(c: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<Place>> {
    let rows = sqlx::query!(
        r#"with had as (select order_id, document_provider, document_key, document_version from invoices
                        where order_id = any($1) and document_key is not null order by order_id for update)
           update invoices i
           set document_provider = null, document_key = null, document_version = null, document_stamp = null,
               document_paid_minor = null, document_refunded_minor = null, document_names_buyer = null
           from had where had.order_id = i.order_id
           returning had.document_provider as "provider!: Provider", had.document_key as "key!",
                     had.document_version as version"#,
        orders,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| Place { provider: row.provider, key: row.key, version: row.version }).collect())
}

/// Orders whose invoice has a file with the name of a buyer who was erased, by a server that knew of no invoices. At most `limit`.
pub(super) async fn names_of_erased(c: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<OrderId>> {
    sqlx::query_scalar!(
        r#"select o.id as "id: OrderId" from orders o join invoices i on i.order_id = o.id
           where i.document_names_buyer and o.email like '%@erased.invalid' limit $1"#,
        limit,
    )
    .fetch_all(c)
    .await
}

/// Orders that were sold and have no invoice, and how far was looked for them.
#[derive(Debug)]
pub(super) struct Missing {
    /// The oldest first.
    pub orders: Vec<OrderId>,
    /// Where to go on; none at the end.
    pub behind: Option<OrderId>,
}

/// The first of the orders placed since then that were sold and have no invoice: at most `issue` of them, among the `look` orders behind
/// one of them.
///
/// An index of orders without an invoice would have to know both tables, and each order would have to write it. So `orders_placed_at`
/// leads to all, which are looked up in the primary key of the invoices: that costs some seconds for a million, which is little once a
/// day, and `look` keeps each statement short.
pub(super) async fn without_invoice(
    c: &mut PgConnection,
    since: DateTime<Utc>,
    behind: Option<OrderId>,
    (issue, look): (i64, i64),
) -> sqlx::Result<Missing> {
    let rows = sqlx::query!(
        r#"with seen as (
             select o.id, o.placed_at,
                    o.paid_at is not null
                      or o.payment_method = 'pay_on_delivery'
                         and o.status in ('processing', 'shipped', 'delivered', 'return_requested') as is_sold
             from orders o
             where (o.placed_at, o.id) > (
               select b.placed_at, b.id from orders b where b.id = $2
               union all
               select $1::timestamptz, '00000000-0000-0000-0000-000000000000'::uuid where $2::uuid is null)
             order by o.placed_at, o.id limit $4)
           (select id as "id!: OrderId", false as "is_end!" from seen
            where is_sold and not exists (select from invoices i where i.order_id = seen.id)
            order by placed_at, id limit $3)
           union all
           (select id, true from seen order by placed_at, id offset $4 - 1 limit 1)"#,
        since,
        behind.map(|id| id.0),
        issue,
        look,
    )
    .fetch_all(c)
    .await?;
    let end = rows.iter().find(|row| row.is_end).map(|row| row.id);
    let orders: Vec<OrderId> = rows.iter().filter(|row| !row.is_end).map(|row| row.id).collect();
    let is_full = i64::try_from(orders.len()).is_ok_and(|count| count >= issue);
    Ok(Missing { behind: if is_full { orders.last().copied() } else { end }, orders })
}

/// Which invoices.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Issued not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Issued before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Invoices, the newest first, and the last one's order where more follow.
///
/// By the time and not by the number, which follows it but for those that are issued at once: so one index leads to a span of time, and
/// behind a cursor in it. That there is a bound, whatever is asked for, lets a plan use it that was made for all values.
pub(super) async fn list(
    c: &mut PgConnection,
    filter: &Filter,
    part: Part,
) -> sqlx::Result<(Vec<Invoice>, Option<Uuid>)> {
    let rows = sqlx::query_as!(
        Row,
        r#"select order_id as "order_id: OrderId", number as "number!", seller as "seller: Json<Seller>", order_number,
                  currency, total_minor, tax_minor, issued_at, document_provider as "provider: Provider",
                  document_key as key, document_version as version, document_stamp as "stamp: Stamp",
                  document_paid_minor as paid_minor, document_refunded_minor as refunded_minor,
                  document_names_buyer as names_buyer
           from invoices
           where issued_at >= coalesce($1::timestamptz, '-infinity')
             and issued_at < coalesce($2::timestamptz, 'infinity')
             and (issued_at, order_id) < (
               select b.issued_at, b.order_id from invoices b where b.order_id = $5
               union all
               select coalesce($2::timestamptz, 'infinity'), '00000000-0000-0000-0000-000000000000'::uuid
               where $5::uuid is null)
           order by issued_at desc, order_id desc limit $3 offset $4"#,
        filter.from,
        filter.until,
        part.page.limit + 1,
        part.offset(),
        part.behind,
    )
    .fetch_all(c)
    .await?;
    Ok(part.cut(rows.into_iter().map(Invoice::from).collect(), |invoice| invoice.order_id.0))
}

/// How many invoices there are.
pub(super) async fn total(c: &mut PgConnection, filter: &Filter) -> sqlx::Result<Total> {
    count::total(c, |query| {
        query.push(" from invoices where true");
        if let Some(from) = filter.from {
            query.push(" and issued_at >= ").push_bind(from);
        }
        if let Some(until) = filter.until {
            query.push(" and issued_at < ").push_bind(until);
        }
    })
    .await
}
