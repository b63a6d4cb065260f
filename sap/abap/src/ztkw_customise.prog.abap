*&---------------------------------------------------------------------*
*& Sets up an alias, shows its state, tests it without generating, generates, revokes, removes. The client secret is taken
*& from a masked field and in dialog only: a variant or a job step would keep it readable.
*&---------------------------------------------------------------------*
REPORT ztkw_customise.

PARAMETERS: p_alias  TYPE ztkw_alias OBLIGATORY,
            p_dest   TYPE rfcdest,
            p_path   TYPE ztkw_path LOWER CASE,
            p_id     TYPE ztkw_client_id LOWER CASE,
            p_in     TYPE ztkw_secret_in DEFAULT 'D',
            p_secret TYPE c LENGTH 255 LOWER CASE MODIF ID sec,
            p_margin TYPE i,
            p_hand   TYPE i,
            p_budget TYPE i.
PARAMETERS: r_state  RADIOBUTTON GROUP what DEFAULT 'X',
            r_save   RADIOBUTTON GROUP what,
            r_test   RADIOBUTTON GROUP what,
            r_make   RADIOBUTTON GROUP what,
            r_revoke RADIOBUTTON GROUP what,
            r_remove RADIOBUTTON GROUP what.


CLASS lcl_report DEFINITION CREATE PRIVATE FINAL.

  PUBLIC SECTION.
    CLASS-METHODS run.

  PRIVATE SECTION.
    CLASS-METHODS save
      IMPORTING
        admin TYPE REF TO zcl_tkw_admin
      RAISING
        zcx_tkw.
    CLASS-METHODS show
      IMPORTING
        admin TYPE REF TO zcl_tkw_admin
      RAISING
        zcx_tkw.
ENDCLASS.


CLASS lcl_report IMPLEMENTATION.

  METHOD run.
    DATA: admin   TYPE REF TO zcl_tkw_admin,
          failure TYPE REF TO zcx_tkw.

    IF p_secret IS NOT INITIAL AND ( sy-batch = abap_true OR sy-slset IS NOT INITIAL ).
      CLEAR p_secret.
      MESSAGE s030(ztkw) DISPLAY LIKE 'E'.
      RETURN.
    ENDIF.
    TRY.
        CREATE OBJECT admin
          EXPORTING
            alias = p_alias.
        CASE abap_true.
          WHEN r_save.
            save( admin ).
            MESSAGE s026(ztkw) WITH p_alias.
          WHEN r_test.
            admin->test( ).
            MESSAGE s028(ztkw) WITH p_alias.
          WHEN r_make.
            admin->generate( ).
            show( admin ).
            MESSAGE s022(ztkw) WITH p_alias.
          WHEN r_revoke.
            admin->revoke( ).
            MESSAGE s029(ztkw) WITH p_alias.
          WHEN r_remove.
            admin->remove( ).
            MESSAGE s027(ztkw) WITH p_alias.
          WHEN r_state.
            show( admin ).
        ENDCASE.
      CATCH zcx_tkw INTO failure.
        MESSAGE failure TYPE 'S' DISPLAY LIKE 'E'.
    ENDTRY.
    CLEAR p_secret.
  ENDMETHOD.

  METHOD save.
    DATA: client TYPE ztkw_clients,
          secret TYPE string.

    client-destination = p_dest.
    client-path = p_path.
    client-client_id = p_id.
    client-secret_in = p_in.
    client-margin = p_margin.
    client-handover = p_hand.
    client-daily_budget = p_budget.
    secret = p_secret.
    admin->save( client = client
                 secret = secret ).
  ENDMETHOD.

  METHOD show.
    DATA: state TYPE zcl_tkw_admin=>ty_state,
          till  TYPE string,
          text  TYPE string.

    state = admin->state( ).
    IF state-valid_till = 0.
      MESSAGE s021(ztkw) WITH state-alias state-generation INTO text.
    ELSE.
      till = zcl_tkw_time=>shown( state-valid_till ).
      MESSAGE s020(ztkw) WITH state-alias state-generation till INTO text.
    ENDIF.
    WRITE / text.
    IF state-last_code IS NOT INITIAL.
      till = zcl_tkw_time=>shown( state-retry_at ).
      MESSAGE s006(ztkw) WITH state-alias till state-last_code INTO text.
      WRITE / text.
    ENDIF.
  ENDMETHOD.

ENDCLASS.


AT SELECTION-SCREEN OUTPUT.
  LOOP AT SCREEN.
    IF screen-group1 = 'SEC'.
      screen-invisible = '1'.
      MODIFY SCREEN.
    ENDIF.
  ENDLOOP.

START-OF-SELECTION.
  lcl_report=>run( ).
