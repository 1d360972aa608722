//! Making invoices, and issuing those that are missing.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service;
use crate::app::App;
use crate::features::orders;
use crate::platform::error::Error;
use crate::platform::ids::OrderId;
use crate::platform::jobs::{self, Job, JobError};

/// Issues the invoice of an order that was sold, and makes its file.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakeInvoice {
    /// The order.
    pub order_id: OrderId,
}

#[async_trait]
impl Job<App> for MakeInvoice {
    const KIND: &'static str = "make_invoice";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let order = orders::find(&mut *app.db.acquire().await?, self.order_id).await?;
        let Some(order) = order else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no order {}", self.order_id)));
        };
        match service::prepare(app, &order).await {
            // It was given up before it was paid.
            Err(Error::Conflict { .. }) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// The daily look for orders that were sold and have no invoice, the oldest first. Each step orders the next one, so that no job takes
/// long, however many there are.
#[derive(Debug, Serialize, Deserialize)]
pub struct IssueInvoices {
    /// Invoices that a step issues at most.
    pub issue: i64,
    /// Orders that a step looks at.
    pub look: i64,
    /// The last order that was looked at.
    pub behind: Option<OrderId>,
}

impl Default for IssueInvoices {
    fn default() -> Self {
        Self { issue: 500, look: 20_000, behind: None }
    }
}

#[async_trait]
impl Job<App> for IssueInvoices {
    const KIND: &'static str = "issue_invoices";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let behind = service::issue_missing(app, self.behind, (self.issue, self.look)).await?;
        if behind.is_some() {
            let next = Self { behind, ..self };
            let mut connection = app.db.acquire().await?;
            // This step may be a second try.
            if !jobs::is_waiting::<App, _>(&mut connection, &next).await? {
                jobs::enqueue(&mut connection, &next, app.config.jobs.max_attempts).await?;
                app.waker.wake();
            }
        }
        Ok(())
    }
}
