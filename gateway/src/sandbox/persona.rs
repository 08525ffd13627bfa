//! The fictional people of the sandbox and their accounts: what a TPP may ask about, and what the
//! answer will be.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use thiserror::Error;

/// The one-time code that every persona "receives" by SMS at strong authentication.
pub const SMS_CODE: &str = "12345678";

/// A payment service user (PSU) of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Persona {
    /// Her balance is negative: every question is answered with false.
    Lea,
    /// A private account without a cent, and a business account with funds.
    Claire,
    /// Exactly ten euros: the boundary of the comparison.
    Georges,
    /// Sole and joint accounts, under two logins.
    Gilles,
}

impl Persona {
    /// All personas, in the order of the table.
    pub const ALL: [Persona; 4] = [Self::Lea, Self::Claire, Self::Georges, Self::Gilles];

    /// The name by which commands and token records know the persona.
    pub fn key(self) -> &'static str {
        match self {
            Self::Lea => "lea",
            Self::Claire => "claire",
            Self::Georges => "georges",
            Self::Gilles => "gilles",
        }
    }

    /// First and family name, as the bank writes them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lea => "LEA SANDBOXA",
            Self::Claire => "CLAIRE RECETTEB",
            Self::Georges => "GEORGES PERSONAC",
            Self::Gilles => "GILLES TESTUNID",
        }
    }

    /// The bank of the persona. None of them has accounts at two.
    pub fn codetab(self) -> &'static str {
        match self {
            Self::Lea | Self::Claire | Self::Georges | Self::Gilles => "17515",
        }
    }

    /// The persona's accounts.
    pub fn accounts(self) -> impl Iterator<Item = &'static Account> {
        ACCOUNTS.iter().filter(move |account| account.persona == self)
    }
}

impl fmt::Display for Persona {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl FromStr for Persona {
    type Err = UnknownPersona;

    fn from_str(key: &str) -> Result<Self, UnknownPersona> {
        Self::ALL.into_iter().find(|persona| persona.key() == key).ok_or(UnknownPersona)
    }
}

/// Nobody of this name lives in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no such persona. To mend: name lea, claire, georges or gilles")]
pub struct UnknownPersona;

/// An account in euros at the sandbox bank.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Whose consent opens it.
    pub persona: Persona,
    /// The customer segment of the login.
    pub segment: &'static str,
    /// The login of the bank's web site under which the account is shown.
    pub login: &'static str,
    /// The bank that keeps it.
    pub codetab: &'static str,
    /// ISO 13616, without blanks.
    pub iban: &'static str,
    /// As printed on a statement of account.
    pub holder: &'static str,
    /// In euros. It never moves: a confirmation of funds places no hold (PSD2, article 65(4)).
    pub balance: Decimal,
}

impl Account {
    /// The account with this IBAN, if the sandbox has it.
    pub fn of_iban(iban: &str) -> Option<&'static Account> {
        ACCOUNTS.iter().find(|account| account.iban == iban)
    }

    /// "Yes" or "no", and no more (PSD2, article 65(3)).
    pub fn covers(&self, amount: Decimal) -> bool {
        self.balance >= amount
    }
}

/// Every account of the sandbox.
pub const ACCOUNTS: [Account; 7] = [
    Account {
        persona: Persona::Lea,
        segment: "particulier",
        login: "9999999901",
        codetab: "17515",
        iban: "FR7617515000920400430518020",
        holder: "Mme LEA SANDBOXA",
        balance: euros(-150, 0),
    },
    Account {
        persona: Persona::Claire,
        segment: "particulier",
        login: "9999999902",
        codetab: "17515",
        iban: "FR7617515900000400358074026",
        holder: "Mme CLAIRE RECETTEB",
        balance: euros(0, 0),
    },
    Account {
        persona: Persona::Claire,
        segment: "entrepreneur individuel",
        login: "9999999902",
        codetab: "17515",
        iban: "FR7617515900000800358074006",
        holder: "Mme CLAIRE RECETTEB",
        balance: euros(23_766, 98),
    },
    Account {
        persona: Persona::Georges,
        segment: "particulier",
        login: "9999999903",
        codetab: "17515",
        iban: "FR7617515000920400085945890",
        holder: "Mr et Mme GEORGES PERSONAC",
        balance: euros(10, 0),
    },
    Account {
        persona: Persona::Gilles,
        segment: "particulier",
        login: "9999999904",
        codetab: "17515",
        iban: "FR7617515000920440878790811",
        holder: "Mr GILLES TESTUNID",
        balance: euros(11_880, 30),
    },
    Account {
        persona: Persona::Gilles,
        segment: "particulier",
        login: "9999999904",
        codetab: "17515",
        iban: "FR7617515000920402428687756",
        holder: "Mr OU Mme GILLES TESTUNID",
        balance: euros(0, 0),
    },
    Account {
        persona: Persona::Gilles,
        segment: "particulier",
        login: "9999999905",
        codetab: "17515",
        iban: "FR7617515000920402428748381",
        holder: "Mr ET Mme GILLES TESTUNID",
        balance: euros(5_879, 22),
    },
];

const fn euros(euros: i32, cents: u32) -> Decimal {
    Decimal::from_parts(euros.unsigned_abs() * 100 + cents, 0, 0, euros.is_negative(), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISO 7064 MOD 97-10, written out so that the table is not checked by the code it feeds.
    fn remainder(iban: &str) -> u32 {
        let (head, body) = iban.split_at(4);
        let digits = format!("{body}{head}");
        digits.chars().filter_map(|c| c.to_digit(36)).fold(0, |remainder, digit| {
            let shift = if digit > 9 { 100 } else { 10 };
            (remainder * shift + digit) % 97
        })
    }

    #[test]
    fn every_iban_has_valid_check_digits_and_the_codetab_of_its_bank() {
        for account in ACCOUNTS {
            assert_eq!(remainder(account.iban), 1, "{}", account.iban);
            assert_eq!(account.iban.len(), 27);
            assert_eq!(account.iban.get(4..9), Some(account.codetab));
            assert_eq!(account.codetab, account.persona.codetab());
        }
    }

    #[test]
    fn balances_are_what_the_published_table_says_to_the_cent() {
        let balances = ACCOUNTS.map(|account| account.balance.to_string());
        let published = ["-150.00", "0.00", "23766.98", "10.00", "11880.30", "0.00", "5879.22"];
        assert_eq!(balances, published);
    }

    #[test]
    fn the_third_account_of_gilles_stands_under_a_login_of_its_own() {
        let logins: Vec<_> = Persona::Gilles.accounts().map(|account| account.login).collect();
        assert_eq!(logins, ["9999999904", "9999999904", "9999999905"]);
    }

    #[test]
    fn a_persona_is_found_by_its_key_and_by_nothing_else() {
        for persona in Persona::ALL {
            assert_eq!(persona.key().parse(), Ok(persona));
            assert!(persona.accounts().count() >= 1);
        }
        for key in ["", "LEA", "gilles ", "bob"] {
            assert_eq!(key.parse::<Persona>(), Err(UnknownPersona));
        }
    }

    #[test]
    fn a_balance_covers_its_own_amount_and_not_a_cent_more() {
        let georges = Account::of_iban("FR7617515000920400085945890").unwrap();
        assert!(georges.covers("10".parse().unwrap()));
        assert!(georges.covers("10.00".parse().unwrap()));
        assert!(!georges.covers("10.01".parse().unwrap()));
    }
}
