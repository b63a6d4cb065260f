"! What a token server can be asked. The answers are values; only what never became a question is an exception.
INTERFACE zif_tkw_server PUBLIC.

  CONSTANTS:
    "! A token was made, or a question was answered.
    c_done        TYPE c LENGTH 1 VALUE 'D',
    "! 412: another generation lives than the one named; nothing was changed.
    c_mismatch    TYPE c LENGTH 1 VALUE 'M',
    "! The server refuses: the secret, the address, the request. Asking again changes nothing.
    c_refused     TYPE c LENGTH 1 VALUE 'R',
    "! No answer, a quota, a fault: later it may work.
    c_unavailable TYPE c LENGTH 1 VALUE 'U',
    "! An answer that this package does not understand.
    c_strange     TYPE c LENGTH 1 VALUE 'S'.

  TYPES:
    BEGIN OF ty_answer,
      outcome      TYPE c LENGTH 1,
      "! HTTP status, 0 when there was no answer
      status       TYPE i,
      "! the server's error code, or one of ours: only letters, digits and _
      code         TYPE ztkw_code,
      access_token TYPE ztkw_token,
      "! 0 when the server counts no generations
      generation   TYPE ztkw_generation,
      "! 0 when the token never expires
      valid_till   TYPE ztkw_moment,
      "! from the header Date, 0 when there was none
      server_time  TYPE ztkw_moment,
      "! seconds to wait, 0 when the server named none
      retry_after  TYPE i,
    END OF ty_answer.

  "! Asks for a new token, which ends the live one.
  "! @parameter generation | only if the live token is of this generation (header If-Match); 0: if there was never one
  METHODS generate
    IMPORTING
      generation    TYPE ztkw_generation
    RETURNING
      VALUE(answer) TYPE ty_answer
    RAISING
      zcx_tkw.

  "! Asks how the API client stands. Changes nothing.
  METHODS status
    RETURNING
      VALUE(answer) TYPE ty_answer
    RAISING
      zcx_tkw.

  "! Ends a token without a new one (RFC 7009).
  METHODS revoke
    IMPORTING
      access_token  TYPE ztkw_token
    RETURNING
      VALUE(answer) TYPE ty_answer
    RAISING
      zcx_tkw.

ENDINTERFACE.
