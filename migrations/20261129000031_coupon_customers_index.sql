-- Whether a customer has used a coupon for first orders is looked up by the customer.
create index coupon_redemptions_by_customer on coupon_redemptions (customer) where returned_at is null;
