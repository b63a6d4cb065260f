"! The one place of AUTHORITY-CHECK on object ZTKW_TOKEN. It is asked before any table is read, so that a refusal is the same
"! whether or not the alias or a token exists.
CLASS zcl_tkw_authority DEFINITION PUBLIC FINAL CREATE PRIVATE.

  PUBLIC SECTION.
    CONSTANTS:
      "! Use the token.
      c_use    TYPE c LENGTH 2 VALUE '16',
      "! See generation, validity and failures; never the token.
      c_see    TYPE c LENGTH 2 VALUE '03',
      "! Set up, generate, revoke, remove.
      c_change TYPE c LENGTH 2 VALUE '02'.

    "! Returns to whoever may do this with the token of the alias.
    CLASS-METHODS demand
      IMPORTING
        alias    TYPE ztkw_alias
        activity TYPE clike
      RAISING
        zcx_tkw_denied.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcl_tkw_authority IMPLEMENTATION.

  METHOD demand.
    AUTHORITY-CHECK OBJECT 'ZTKW_TOKEN'
      ID 'ZTKW_ALIAS' FIELD alias
      ID 'ACTVT' FIELD activity.
    IF sy-subrc <> 0.
      RAISE EXCEPTION TYPE zcx_tkw_denied
        EXPORTING
          msgno = '001'
          arg1  = alias
          arg2  = activity.
    ENDIF.
  ENDMETHOD.

ENDCLASS.
