-- Workspaces, the people in them, and the tokens that speak for someone.

-- An id whose order is the order of creation (UUID version 7, RFC 9562), for rows that are inserted by
-- plain SQL; the application makes its own. Bits 52 and 53 turn version 4 into version 7.
create function callboard_uuid_v7() returns uuid
language sql volatile parallel safe
as $$
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- The tenant. Whatever belongs to one is invisible from every other.
create table workspace (
    id uuid not null default callboard_uuid_v7(),
    slug text not null,
    name text not null,
    created_at timestamptz not null default now(),
    constraint workspace_pkey primary key (id),
    constraint workspace_slug_unique unique (slug),
    -- As in a host name, so that a slug can stand in one.
    constraint workspace_slug_shape check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
);

-- A person in a workspace; the id is the host application's.
create table member (
    workspace_id uuid not null,
    id uuid not null,
    role text not null default 'member',
    created_at timestamptz not null default now(),
    constraint member_pkey primary key (workspace_id, id),
    constraint member_workspace_fkey foreign key (workspace_id) references workspace on delete cascade,
    constraint member_role_known check (role in ('owner', 'admin', 'member'))
);

-- A bearer token. Only its SHA-256 is kept: the token itself is 32 random characters, so there is nothing
-- that a slow hash would protect.
create table api_token (
    id uuid not null default callboard_uuid_v7(),
    kind text not null,
    workspace_id uuid,
    member_id uuid,
    daemon_id text,
    name text not null default '',
    hash bytea not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Written at most once a minute.
    last_used_at timestamptz,
    constraint api_token_pkey primary key (id),
    constraint api_token_hash_unique unique (hash),
    constraint api_token_workspace_fkey foreign key (workspace_id) references workspace on delete cascade,
    constraint api_token_member_fkey foreign key (workspace_id, member_id) references member on delete cascade,
    -- Whom each kind speaks for: everything, a workspace, a person in it, a daemon in it.
    constraint api_token_kind_speaks_for check (
        case kind
            when 'admin' then workspace_id is null and member_id is null and daemon_id is null
            when 'service' then workspace_id is not null and member_id is null and daemon_id is null
            when 'member' then workspace_id is not null and member_id is not null and daemon_id is null
            when 'daemon' then workspace_id is not null and member_id is null and daemon_id <> '' and daemon_id is not null
            else false
        end
    )
);
