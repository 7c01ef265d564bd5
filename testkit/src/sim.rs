//! Many clients, links that fail, a hub that is restarted, and a judge of what they heard.
