-- Asks Tokenward about a request: `http-request lua.tokenward ENVIRONMENT/PRODUCT`.
--
-- HAProxy's own HTTP client (2.6) repeats a request that fails and can't be told not to; so this
-- speaks HTTP/1.1 over plain sockets: one question, one answer, at most a second for each.

-- Set in haproxy.cfg, before this file is loaded.
local address = os.getenv("TOKENWARD")

-- Seconds to wait for each step.
local PATIENCE = 1
-- Kept connections of this thread, and how long one may be idle: far shorter than the ten minutes after
-- which Tokenward closes it.
local KEPT_MAX = 64
local IDLE_MAX = 20
-- Longest body of a refusal taken; Tokenward's are below one kilobyte.
local BODY_MAX = 16384

local IDENTITY = {
    "x-tokenward-workspace", "x-tokenward-client", "x-tokenward-client-label", "x-tokenward-environment",
    "x-tokenward-product", "x-tokenward-generation", "x-tokenward-valid-till",
}
-- What a caller needs of a refusal besides status and body.
local TOLD = { "content-type", "www-authenticate", "retry-after", "cache-control" }

local kept = {}

local function connect()
    while #kept > 0 do
        local line = table.remove(kept)
        if core.now().sec - line.since <= IDLE_MAX then
            line.socket:settimeout(PATIENCE)
            return line.socket
        end
        line.socket:close()
    end
    local socket = core.tcp()
    socket:settimeout(PATIENCE)
    local host, port = address:match("^(.*):(%d+)$")
    local connected
    if port then
        connected = socket:connect(host, tonumber(port))
    else
        connected = socket:connect(address)
    end
    if not connected then
        socket:close()
        return nil
    end
    return socket
end

local function keep(socket)
    if #kept < KEPT_MAX then
        -- HAProxy closes a socket on which nothing happens for this long.
        socket:settimeout(IDLE_MAX + PATIENCE)
        table.insert(kept, { socket = socket, since = core.now().sec })
    else
        socket:close()
    end
end

-- The question. Every token header goes as it came, so that Tokenward sees, and refuses, a doubled one.
local function question(txn, what)
    local lines = {
        "GET /check/" .. what .. " HTTP/1.1",
        "host: tokenward",
        "x-forwarded-for: " .. txn.f:src(),
    }
    local headers = txn.http:req_get_headers()
    for _, name in ipairs({ "x-cleartax-auth-token", "authorization" }) do
        local values = headers[name]
        local at = 0
        while values and values[at] do
            lines[#lines + 1] = name .. ": " .. values[at]
            at = at + 1
        end
    end
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- The answer: status, headers, body. Nothing if it does not come whole.
local function answer(socket)
    local line = socket:receive("*l")
    local status = line and tonumber(line:match("^HTTP/1%.1 (%d%d%d)"))
    if not status then return nil end
    local headers = {}
    while true do
        line = socket:receive("*l")
        if not line then return nil end
        line = line:gsub("\r$", "")
        if line == "" then break end
        local name, value = line:match("^([^:]+):%s*(.-)%s*$")
        if not name then return nil end
        headers[name:lower()] = value
    end
    local length = tonumber(headers["content-length"])
    if not length or length > BODY_MAX then return nil end
    local body = ""
    if length > 0 then
        body = socket:receive(length)
        if not body then return nil end
    end
    return status, headers, body
end

local function ask(txn, what)
    local socket = connect()
    if not socket then return nil end
    local status, headers, body
    if socket:send(question(txn, what)) then
        status, headers, body = answer(socket)
    end
    if status and headers["connection"] ~= "close" then
        keep(socket)
    else
        socket:close()
    end
    return status, headers, body
end

local function refuse(txn, status, headers, body)
    if txn.f:method() == "HEAD" then body = "" end
    txn:done(txn:reply({ status = status, headers = headers, body = body }))
end

-- Nobody vouches: nobody passes, and the caller is told in the form it knows.
local function shut(txn)
    refuse(txn, 503, {
        ["content-type"] = { "application/json" },
        ["retry-after"] = { "1" },
        ["cache-control"] = { "no-store" },
    }, '{"errors":[{"error_code":"CANNOT_VOUCH","error_message":"Nobody can vouch for tokens at the moment. '
        .. 'Try again; your token may well be good.","error_source":"GATEWAY","error_id":"' .. txn.f:uuid() .. '"}]}')
end

core.register_action("tokenward", { "http-req" }, function(txn, what)
    local whole, status, headers, body = pcall(ask, txn, what)
    if not whole or not status then return shut(txn) end
    if status == 200 then
        for _, name in ipairs(IDENTITY) do
            -- A 200 without them is not Tokenward's.
            if not headers[name] then return shut(txn) end
        end
        for _, name in ipairs(IDENTITY) do
            txn.http:req_set_header(name, headers[name])
        end
        txn:set_var("txn.tokenward", what)
        return
    end
    if status < 400 then return shut(txn) end
    local told = {}
    for _, name in ipairs(TOLD) do
        if headers[name] then told[name] = { headers[name] } end
    end
    refuse(txn, status, told, body)
end, 1)
