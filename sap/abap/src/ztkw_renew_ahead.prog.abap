*&---------------------------------------------------------------------*
*& Renews tokens before callers have to: plan it as a background job every few minutes. Ends with an error message, so that
*& the job shows as cancelled, when a token could not be renewed. Writes aliases, generations and reasons, never a token.
*&---------------------------------------------------------------------*
REPORT ztkw_renew_ahead.

PARAMETERS p_alias TYPE ztkw_alias.

DATA: gs_client  TYPE ztkw_clients,
      gt_clients TYPE zcl_tkw_store=>ty_clients,
      go_store   TYPE REF TO zcl_tkw_store,
      go_failure TYPE REF TO zcx_tkw,
      gv_outcome TYPE char1,
      gv_text    TYPE string,
      gv_all     TYPE i,
      gv_failed  TYPE i.

START-OF-SELECTION.
  CREATE OBJECT go_store.
  gt_clients = go_store->clients( ).
  LOOP AT gt_clients INTO gs_client.
    IF p_alias IS NOT INITIAL AND p_alias <> gs_client-alias.
      CONTINUE.
    ENDIF.
    gv_all = gv_all + 1.
    TRY.
        gv_outcome = zcl_tokenward=>of( gs_client-alias )->renew_ahead( ).
        CASE gv_outcome.
          WHEN zcl_tkw_renewal=>c_made.
            MESSAGE s022(ztkw) WITH gs_client-alias INTO gv_text.
          WHEN zcl_tkw_renewal=>c_late.
            gv_failed = gv_failed + 1.
            MESSAGE s024(ztkw) WITH gs_client-alias INTO gv_text.
          WHEN OTHERS.
            MESSAGE s023(ztkw) WITH gs_client-alias INTO gv_text.
        ENDCASE.
      CATCH zcx_tkw INTO go_failure.
        gv_failed = gv_failed + 1.
        gv_text = go_failure->get_text( ).
    ENDTRY.
    MESSAGE gv_text TYPE 'S'.
    WRITE / gv_text.
  ENDLOOP.
  IF gv_failed > 0 OR ( gv_all = 0 AND p_alias IS NOT INITIAL ).
    MESSAGE e025(ztkw) WITH gv_failed gv_all.
  ENDIF.
