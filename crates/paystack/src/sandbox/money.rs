//! What the sandbox knows about currencies: limits, fees and how amounts are
//! written. All amounts are in the subunit, main unit times 100.

/// One currency of Paystack.
pub(super) struct Currency {
    pub(super) code: &'static str,
    symbol: &'static str,
    /// Smallest transaction (Paystack API reference, "Supported currency").
    pub(super) minimum: i64,
    /// Where the sandbox's card was issued: ISO 3166 alpha-2.
    pub(super) country: &'static str,
    /// Share taken as fee, in hundredths of a percent.
    fee_rate: i64,
}

/// Largest transaction of any currency.
pub(super) const MAXIMUM: i64 = 1_000_000_000;

const CURRENCIES: [Currency; 6] = [
    Currency { code: "NGN", symbol: "₦", minimum: 5000, country: "NG", fee_rate: 150 },
    Currency { code: "GHS", symbol: "GH₵", minimum: 10, country: "GH", fee_rate: 195 },
    Currency { code: "ZAR", symbol: "R", minimum: 100, country: "ZA", fee_rate: 290 },
    Currency { code: "KES", symbol: "KSh", minimum: 300, country: "KE", fee_rate: 290 },
    Currency { code: "USD", symbol: "$", minimum: 200, country: "NG", fee_rate: 390 },
    Currency { code: "XOF", symbol: "CFA ", minimum: 100, country: "CI", fee_rate: 190 },
];

impl Currency {
    pub(super) fn find(code: &str) -> Option<&'static Self> {
        CURRENCIES.iter().find(|currency| currency.code == code)
    }

    /// What Paystack keeps of `amount`. For NGN its price list: 1.5 %, plus
    /// NGN 100 from NGN 2,500 on, at most NGN 2,000. For the others a plain share.
    pub(super) fn fee(&self, amount: i64) -> i64 {
        // Rounds half up.
        let share = (amount.saturating_mul(self.fee_rate).saturating_add(5000)) / 10_000;
        match self.code {
            "NGN" if amount >= 250_000 => (share + 10_000).min(200_000),
            "NGN" => share.min(200_000),
            _ => share,
        }
    }

    /// `amount` for people: `₦12,500.00`.
    pub(super) fn format(&self, amount: i64) -> String {
        let digits = (amount / 100).to_string();
        let mut main = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                main.push(',');
            }
            main.push(digit);
        }
        if self.code == "XOF" {
            // The franc has no subunit; Paystack ignores a fraction.
            return format!("{}{main}", self.symbol);
        }
        format!("{}{main}.{:02}", self.symbol, amount % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naira_fees_follow_the_price_list() {
        let naira = Currency::find("NGN").unwrap();
        // Below, at and above the flat part, then at the cap.
        for (amount, fee) in [(100_000, 1_500), (249_999, 3_750), (250_000, 13_750), (12_700_000, 200_000)] {
            assert_eq!(naira.fee(amount), fee, "{amount}");
        }
        assert_eq!(naira.fee(i64::MAX), 200_000);
    }

    #[test]
    fn amounts_are_grouped_by_thousands() {
        let format = |code, amount| Currency::find(code).unwrap().format(amount);
        assert_eq!(format("NGN", 5), "₦0.05");
        assert_eq!(format("NGN", 99_999), "₦999.99");
        assert_eq!(format("GHS", 123_456_700), "GH₵1,234,567.00");
        assert_eq!(format("XOF", 150_000), "CFA 1,500");
        assert!(Currency::find("EUR").is_none());
    }
}
