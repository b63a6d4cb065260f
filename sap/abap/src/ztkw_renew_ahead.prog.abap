*&---------------------------------------------------------------------*
*& Renews tokens before callers have to: plan it as a background job every few minutes. Ends with an error message, so that
*& the job shows as cancelled, when a token could not be renewed. Writes aliases and reasons, never a token.
*&---------------------------------------------------------------------*
REPORT ztkw_renew_ahead.

PARAMETERS p_alias TYPE ztkw_alias.


CLASS lcl_report DEFINITION CREATE PRIVATE FINAL.

  PUBLIC SECTION.
    CLASS-METHODS run.

  PRIVATE SECTION.
    CLASS-METHODS renew
      IMPORTING
        alias         TYPE ztkw_alias
      RETURNING
        VALUE(failed) TYPE abap_bool.
ENDCLASS.


CLASS lcl_report IMPLEMENTATION.

  METHOD run.
    DATA: store   TYPE REF TO zcl_tkw_store,
          clients TYPE zcl_tkw_store=>ty_clients,
          client  TYPE ztkw_clients,
          count   TYPE i,
          failed  TYPE i.

    CREATE OBJECT store.
    clients = store->clients( ).
    IF p_alias IS NOT INITIAL.
      DELETE clients WHERE client_alias <> p_alias.
    ENDIF.
    LOOP AT clients INTO client.
      count = count + 1.
      IF renew( client-client_alias ) = abap_true.
        failed = failed + 1.
      ENDIF.
    ENDLOOP.
    IF failed > 0.
      MESSAGE e025(ztkw) WITH failed count.
    ELSEIF count = 0 AND p_alias IS NOT INITIAL.
      MESSAGE e002(ztkw) WITH p_alias.
    ENDIF.
  ENDMETHOD.

  METHOD renew.
    DATA: failure TYPE REF TO zcx_tkw,
          outcome TYPE char1.

    TRY.
        outcome = zcl_tokenward=>of( alias )->renew_ahead( ).
        CASE outcome.
          WHEN zcl_tkw_renewal=>c_made.
            MESSAGE s022(ztkw) WITH alias.
          WHEN zcl_tkw_renewal=>c_late.
            failed = abap_true.
            MESSAGE s024(ztkw) WITH alias.
          WHEN OTHERS.
            MESSAGE s023(ztkw) WITH alias.
        ENDCASE.
      CATCH zcx_tkw INTO failure.
        failed = abap_true.
        MESSAGE failure TYPE 'S'.
    ENDTRY.
  ENDMETHOD.

ENDCLASS.


START-OF-SELECTION.
  lcl_report=>run( ).
