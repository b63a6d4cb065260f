"! There is no token. The code says why; never a token or a secret.
CLASS zcx_tkw_cloud DEFINITION PUBLIC INHERITING FROM cx_static_check FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    "! @parameter code | DENIED, NO_TOKEN, or the server's error code
    METHODS constructor
      IMPORTING
        code     TYPE string
        previous TYPE REF TO cx_root OPTIONAL.

    "! Why there is no token.
    METHODS code
      RETURNING
        VALUE(code) TYPE string.

  PROTECTED SECTION.
  PRIVATE SECTION.
    DATA reason TYPE string.
ENDCLASS.


CLASS zcx_tkw_cloud IMPLEMENTATION.

  METHOD constructor.
    super->constructor( previous ).
    reason = code.
  ENDMETHOD.

  METHOD code.
    code = reason.
  ENDMETHOD.

ENDCLASS.
