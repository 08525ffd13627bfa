// Names below .localhost are this machine (RFC 6761, 6.3); not every resolver knows.
const dns = require("node:dns");

const lookup = dns.lookup;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);
