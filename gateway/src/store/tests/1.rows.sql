-- Rows as a release with schema 1 writes them. They never change.
INSERT INTO device (id, public_key, display_name, platform, family, client_id, client_mode, label, remote_ip, approved_via, created_ms, approved_ms, seen_ms) VALUES
    ('5ff6b3e0b4f0c4a1a3d0a51d8a4d7c7f4f9d2b4c1e6a7b8c9d0e1f2a3b4c5d6e', 'ebVWLo_mVPlAeLEtiG0hOWCNsQJLSNYbn0EpJ9mnxnI', 'Anna''s laptop', 'linux', 'Linux', 'cli', 'cli', 'the one in the hall', '192.0.2.1', 'owner', 1790000000000, 1790000000100, 1790000000200),
    ('bare', 'key', NULL, 'esp32 東京', NULL, 'node-host', 'node', NULL, NULL, 'silent', 1790000001000, 1790000001000, NULL);
INSERT INTO granted (device_id, role, scopes, token_digest, token_salt, token_scopes, token_created, token_rotated, token_revoked) VALUES
    ('5ff6b3e0b4f0c4a1a3d0a51d8a4d7c7f4f9d2b4c1e6a7b8c9d0e1f2a3b4c5d6e', 'operator', '["operator.write","operator.pairing"]', x'1111111111111111111111111111111111111111111111111111111111111111', x'22222222222222222222222222222222', '["operator.pairing","operator.read","operator.write"]', 1790000000000, 1790000000500, NULL),
    ('5ff6b3e0b4f0c4a1a3d0a51d8a4d7c7f4f9d2b4c1e6a7b8c9d0e1f2a3b4c5d6e', 'node', '[]', x'3333333333333333333333333333333333333333333333333333333333333333', x'44444444444444444444444444444444', '[]', 1790000000100, NULL, 1790000000900),
    ('bare', 'node', '[]', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO request (id, device_id, public_key, display_name, platform, family, client_id, client_mode, role, roles, scopes, remote_ip, is_repair, created_ms, asked_ms) VALUES
    ('0b5f3c0e-7a4e-4a43-9a55-4c3e4f1f3d11', 'device', 'key', 'Anna''s laptop', 'linux', 'Linux', 'cli', 'cli', 'node', '["operator","node"]', '["operator.read","operator.pairing"]', '2001:db8::1', 1, 1790000002000, 1790000060000);
INSERT INTO setup (digest, id, access, created_ms, expires_ms) VALUES
    (x'5555555555555555555555555555555555555555555555555555555555555555', '9d2e6f0a-1b7c-4d58-8e43-2a9b6c5d4e3f', 'limited', 1790000003000, 1790000603000);
