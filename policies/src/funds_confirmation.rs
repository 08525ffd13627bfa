//! The body of a funds confirmation: STET's PaymentCoverageRequestResource (STET PSD2 API part 3,
//! 1.4.0.47 and later).
//!
//! Decimals are read from their text and never pass through a float; the IBAN is checked (ISO
//! 13616, mod 97). Errors name the member and its place, never what stands in it.

mod fault;
mod object;
#[cfg(test)]
mod tests;

use std::fmt;

use rust_decimal::Decimal;

use crate::limits::FUNDS_REQUEST_BYTES_MAX;
use crate::routes::AmountForm;

pub use fault::{BodyFault, Member, Wrong};
use object::{Body, Value};

/// The only currency of this interface.
const EURO: &str = "EUR";
const REQUEST_ID_CHARACTERS_MAX: usize = 35;
const PAYEE_CHARACTERS_MAX: usize = 70;
/// STET: `^-{0,1}[0-9]{1,13}(\.[0-9]{0,5}){0,1}$`; a negative amount asks nothing.
const INTEGER_DIGITS_MAX: usize = 13;
const FRACTION_DIGITS_MAX: usize = 5;

/// A question that can be put to a bank: whether `amount` euros are on the account `iban`.
#[derive(Clone, PartialEq, Eq)]
pub struct FundsRequest {
    iban: Box<str>,
    amount: Decimal,
    id: [u8; 32],
    content: [u8; 32],
}

impl FundsRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its place.
    pub fn parse(bytes: &[u8], form: AmountForm) -> Result<Self, BodyFault> {
        if bytes.len() > FUNDS_REQUEST_BYTES_MAX {
            return Err(BodyFault::TooLarge);
        }
        let body = Body::new(bytes)?;
        let [id, payee, instructed_amount, account_id] = body.whole()?.members(&[
            Member::RequestId,
            Member::Payee,
            Member::InstructedAmount,
            Member::AccountId,
        ])?;
        let id = body.required(id, Member::RequestId)?;
        let id = id.text_of(1, REQUEST_ID_CHARACTERS_MAX)?;
        let payee = payee.map(|payee| payee.text_of(0, PAYEE_CHARACTERS_MAX)).transpose()?;

        let [currency, amount] = body
            .required(instructed_amount, Member::InstructedAmount)?
            .members(&[Member::Currency, Member::Amount])?;
        euro(&body.required(currency, Member::Currency)?)?;
        let amount = decimal(&body.required(amount, Member::Amount)?, form)?;

        let [iban, account_currency] = body
            .required(account_id, Member::AccountId)?
            .members(&[Member::Iban, Member::AccountCurrency])?;
        if let Some(currency) = account_currency {
            euro(&currency)?;
        }
        let iban = valid_iban(&body.required(iban, Member::Iban)?)?;
        let content = content(&id, payee.as_deref(), amount, &iban, account_currency.is_some());
        Ok(Self { iban, amount, id: certs::sha256(id.as_bytes()), content })
    }

    /// The account, in the electronic form of ISO 13616. Never logged.
    #[must_use]
    pub fn iban(&self) -> &str {
        &self.iban
    }

    /// SHA-256 of its `paymentCoverageRequestId`.
    #[must_use]
    pub fn id_digest(&self) -> &[u8; 32] {
        &self.id
    }

    /// SHA-256 of all that is asked: two requests have the same one if they ask the same under the same
    /// `paymentCoverageRequestId`, whatever their blanks, escapes, order of members and zeros at the end of
    /// the amount.
    #[must_use]
    pub fn content_digest(&self) -> &[u8; 32] {
        &self.content
    }

    /// Euros, not negative.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.amount
    }
}

impl fmt::Debug for FundsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FundsRequest([redacted])")
    }
}

/// Each part with its length before it, so that no two requests run together alike. The currency is
/// always the same one.
fn content(
    id: &str,
    payee: Option<&str>,
    amount: Decimal,
    iban: &str,
    names_account_currency: bool,
) -> [u8; 32] {
    let mut content = Vec::with_capacity(256);
    let amount = amount.normalize().to_string();
    let currency = names_account_currency.then_some(EURO);
    for part in [Some(id), payee, Some(amount.as_str()), Some(iban), currency] {
        // What is missing is not what is empty.
        let length = part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX));
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
    certs::sha256(&content)
}

fn euro(value: &Value<'_>) -> Result<(), BodyFault> {
    let text = value.text()?;
    if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(value.wrong(Wrong::Currency));
    }
    if text == EURO { Ok(()) } else { Err(BodyFault::NotEuro(value.member())) }
}

fn decimal(value: &Value<'_>, form: AmountForm) -> Result<Decimal, BodyFault> {
    let text = match form {
        AmountForm::StringOrNumber if value.is_number() => value.raw().into(),
        AmountForm::StringOrNumber | AmountForm::String => value.text()?,
    };
    let (integer, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (1..=INTEGER_DIGITS_MAX).contains(&integer.len())
        && fraction.len() <= FRACTION_DIGITS_MAX
        && digits(integer)
        && digits(fraction);
    let number = fits.then(|| text.trim_end_matches('.').parse().ok()).flatten();
    number.ok_or_else(|| value.wrong(Wrong::Amount))
}

/// An IBAN as records and requests write it: without blanks, in capitals, its check digits right (ISO
/// 13616); nothing for any other text.
#[must_use]
pub fn electronic_iban(text: &str) -> Option<String> {
    use iban::IbanLike;

    Some(text.parse::<iban::Iban>().ok()?.electronic_str().to_owned())
}

fn valid_iban(value: &Value<'_>) -> Result<Box<str>, BodyFault> {
    let text = value.text()?;
    // The crate also reads the paper form with its spaces; on the wire there is only one form.
    let electronic = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    match text.parse::<iban::Iban>() {
        Ok(_) if electronic => Ok(text.into()),
        _ => Err(BodyFault::Iban),
    }
}
