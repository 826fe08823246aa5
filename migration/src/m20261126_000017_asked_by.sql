-- Whose tokens stand behind what is asked for, looked at by the statement that does it.
--
-- A server that was shown a token a moment ago need not ask whose it is: that does not change. Whether it still holds has to
-- be asked each time, and that it can be together with what the token is shown for.

-- What is asked for, as it is given, if all of these tokens hold: `{id, role}`, each neither expired nor revoked, and the
-- member that it speaks for, if it does, still in that role. Fails with CB401 if one does not.
create function asked_by(p_asked jsonb, p_tokens jsonb) returns jsonb
language plpgsql volatile
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
    if exists (
        select from jsonb_to_recordset(p_tokens) as shown (id uuid, role text)
        where not exists (
            select from api_token as token
            left join lateral (
                select role from member
                where token.member_id is not null and workspace_id = token.workspace_id and id = token.member_id
                offset 0
            ) as member on true
            where token.id = shown.id and token.revoked_at is null
                and (token.expires_at is null or token.expires_at > now())
                and member.role is not distinct from shown.role
            offset 0)
    ) then
        raise exception 'a token is unknown, expired or revoked, or its member has another role' using errcode = 'CB401';
    end if;
    return p_asked;
end
$$;
