//! Typed ids. All are UUIDv7 (RFC 9562), so they sort by time of creation.

/// Declares an id type over a UUID.
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A new id, later than all before it.
            #[expect(clippy::new_without_default, reason = "two new ids are never equal")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

id! {
    /// A person with an account.
    UserId;
    /// One sign-in on one device.
    SessionId;
    /// An entry of an address book.
    AddressId;
    /// An answer about the use of one's data.
    ConsentId;
    /// A node of the category tree.
    CategoryId;
    /// A product.
    ProductId;
    /// A picture of a product.
    ImageId;
    /// A picture of the shop's own, or an upload that becomes one.
    AssetId;
    /// What is sold: one combination of a product's options.
    VariantId;
    /// A cart.
    CartId;
    /// A line of a cart.
    CartItemId;
    /// An entry of a wishlist.
    WishId;
    /// A code that takes something off an order.
    CouponId;
    /// An order.
    OrderId;
    /// A line of an order.
    OrderItemId;
    /// A parcel of an order.
    FulfilmentId;
    /// What a buyer sends back of an order.
    ReturnId;
    /// A component of tax.
    TaxId;
    /// A part of the world that is shipped to by the same methods.
    ZoneId;
    /// A way of shipping to a zone.
    MethodId;
    /// One attempt to pay an order.
    PaymentId;
    /// Money that goes back.
    RefundId;
    /// A stored delivery of a provider's webhook.
    WebhookEventId;
    /// A comparison of the provider's list with our payments.
    ReconciliationId;
    /// A difference that such a comparison has found.
    FindingId;
    /// A payment that its buyer, or his bank, wants back.
    DisputeId;
    /// An address that is told of events.
    EndpointId;
    /// An event on its way to such an address.
    DeliveryId;
    /// A product file that is being imported.
    ImportId;
    /// A mail in the delivery log.
    EmailId;
}
